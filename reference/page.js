// Renders the OpenAPI document. Whatever would ask another host is off: fonts,
// telemetry, the proxy, the AI features. The page's policy enforces it.
'use strict';

Scalar.createApiReference('#reference', {
  url: '/v1/openapi.json',
  withDefaultFonts: false,
  telemetry: false,
  proxyUrl: '',
  agent: { disabled: true },
  mcp: { disabled: true },
  showDeveloperTools: 'never',
  hideClientButton: true,
  hideTestRequestButton: true,
  documentDownloadType: 'direct',
});
