// Shows openapi.json with Swagger UI.
"use strict";

document.documentElement.classList.toggle(
  "dark-mode",
  matchMedia("(prefers-color-scheme: dark)").matches,
);

SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: "openapi.json",
  deepLinking: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: -1, // hides the list of all schemas
  validatorUrl: null, // the default sends the document to a website
});
