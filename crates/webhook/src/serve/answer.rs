//! From the bytes of a review to the bytes of its answer.

use std::fmt::Display;

use axum::{Json, body::Bytes, extract::rejection::BytesRejection};
use kube::core::{
    DynamicObject, Resource,
    admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, META_API_VERSION_V1},
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::mutate::Change;

/// Why the answer is no, with the HTTP status that the client of the API server gets.
pub(super) struct Refused {
    code: u16,
    reason: &'static str,
    message: String,
}

impl Refused {
    pub(super) fn forbidden(message: &impl Display) -> Self {
        Self {
            code: 403,
            reason: "Forbidden",
            message: message.to_string(),
        }
    }

    fn unreadable(message: &str) -> Self {
        Self {
            code: 400,
            reason: "BadRequest",
            message: format!("the webhook cannot read the review: {message}"),
        }
    }
}

/// As much of a review as is needed to answer one that cannot be read.
#[derive(Deserialize)]
struct Stub {
    request: StubRequest,
}

#[derive(Deserialize)]
struct StubRequest {
    uid: String,
}

/// Reads a review, asks `decide`, and answers in any case.
pub(super) async fn to<T>(
    body: &Result<Bytes, BytesRejection>,
    decide: impl AsyncFnOnce(&AdmissionRequest<T>) -> Result<AdmissionResponse, Refused>,
) -> Json<AdmissionReview<DynamicObject>>
where
    T: Resource + DeserializeOwned,
{
    let response = match body {
        Err(rejection) => unreadable(&[], &rejection.body_text()),
        Ok(body) => match read::<T>(body) {
            Err(why) => unreadable(body, &why),
            Ok(request) => decide(&request)
                .await
                .unwrap_or_else(|refused| refusal(AdmissionResponse::from(&request), refused)),
        },
    };
    Json(response.into_review())
}

/// Admitted, with the patch if there is any.
pub(super) fn changed<T: Resource>(
    request: &AdmissionRequest<T>,
    change: Change,
) -> Result<AdmissionResponse, Refused> {
    let Change { patch, warnings } = change;
    let mut response = AdmissionResponse::from(request);
    response.warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
    if patch.0.is_empty() {
        return Ok(response);
    }
    response.with_patch(patch).map_err(|err| Refused {
        code: 500,
        reason: "InternalError",
        message: err.to_string(),
    })
}

fn read<T>(body: &[u8]) -> Result<AdmissionRequest<T>, String>
where
    T: Resource + DeserializeOwned,
{
    let review: AdmissionReview<T> = serde_json::from_slice(body).map_err(|err| err.to_string())?;
    if review.types.api_version != META_API_VERSION_V1 {
        return Err(format!("its version is {}", review.types.api_version));
    }
    review
        .try_into()
        .map_err(|_| "it has no request".to_owned())
}

/// The API server takes an answer only with its own uid, so that is looked for first.
fn unreadable(body: &[u8], why: &str) -> AdmissionResponse {
    let mut response = AdmissionResponse::invalid("");
    if let Ok(stub) = serde_json::from_slice::<Stub>(body) {
        response.uid = stub.request.uid;
    }
    refusal(response, Refused::unreadable(why))
}

fn refusal(response: AdmissionResponse, refused: Refused) -> AdmissionResponse {
    let Refused {
        code,
        reason,
        message,
    } = refused;
    let mut response = response.deny(message);
    response.result.code = code;
    reason.clone_into(&mut response.result.reason);
    response
}
