//! The `OpenAPI` document, made of the routes themselves.

use actix_web::App;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_actix_web::AppExt;

use super::routes;

#[derive(OpenApi)]
#[openapi(info(
    title = "Boxwood",
    description = "Black-box optimization as a service. Errors are problem documents (RFC 9457) with a stable `code`.",
    license(name = "Apache-2.0", identifier = "Apache-2.0")
))]
struct Head;

/// The document of every route.
pub(crate) fn document() -> Document {
    let (_, mut document) =
        App::new().into_utoipa_app().openapi(Head::openapi()).configure(routes).split_for_parts();
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_with(Default::default).add_security_scheme("token", scheme);
    document
}
