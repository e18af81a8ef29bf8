//! Facts from D1 that an isolate remembers: positive ones only, for at most 60 s.
//!
//! A revoked token or a changed owner can go unnoticed by other isolates for so long.
//! D1 is read again before a request is refused.

use crate::caller::Caller;
use crate::store::agents::Holder;
use multiclaude_hybrid_core::Ms;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;

/// How long a fact is believed, in milliseconds.
pub const BELIEVED: Ms = 60_000;
/// Facts of one kind; past it, all are forgotten.
const MAX_FACTS: usize = 5_000;

type Remembered<K, V> = HashMap<K, (V, Ms)>;

thread_local! {
    static CALLERS: RefCell<Remembered<[u8; 32], Rc<Caller>>> = RefCell::default();
    static HOLDERS: RefCell<Remembered<String, Holder>> = RefCell::default();
}

fn believed<V: Clone>(fact: Option<&(V, Ms)>, now: Ms) -> Option<V> {
    let (value, since) = fact?;
    (now - since < BELIEVED).then(|| value.clone())
}

fn put<K: Hash + Eq, V>(facts: &mut Remembered<K, V>, key: K, value: V, now: Ms) {
    if facts.len() >= MAX_FACTS {
        facts.clear();
    }
    facts.insert(key, (value, now));
}

/// The caller whose token has this hash.
pub fn caller(hash: &[u8; 32], now: Ms) -> Option<Rc<Caller>> {
    CALLERS.with_borrow(|facts| believed(facts.get(hash), now))
}

pub fn remember_caller(hash: [u8; 32], caller: Rc<Caller>, now: Ms) {
    CALLERS.with_borrow_mut(|facts| put(facts, hash, caller, now));
}

/// Forgets a revoked token here; other isolates do so within 60 s.
pub fn forget_token(id: &str) {
    CALLERS.with_borrow_mut(|facts| facts.retain(|_, (caller, _)| caller.token_id != id));
}

/// The holder of the name `mailbox` (`owner/repo/agent`).
pub fn holder(mailbox: &str, now: Ms) -> Option<Holder> {
    HOLDERS.with_borrow(|facts| believed(facts.get(mailbox), now))
}

pub fn remember_holder(mailbox: String, holder: Holder, now: Ms) {
    HOLDERS.with_borrow_mut(|facts| put(facts, mailbox, holder, now));
}

/// Forgets a holder that has changed.
pub fn forget_holder(mailbox: &str) {
    HOLDERS.with_borrow_mut(|facts| facts.remove(mailbox));
}
