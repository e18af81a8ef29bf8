-- The id of the token that a token was made with; tok_admin for the secret
-- ADMIN_TOKEN, nothing for tokens from before this was noted.
ALTER TABLE tokens ADD COLUMN created_by TEXT;
