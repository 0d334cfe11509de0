//! A principal's policies, parsed.

use gust_kit::ports::{Boundary, PrincipalPolicies};
use gust_policy::{Kind, Layer, Policy};
use std::sync::Arc;

/// The policies of a principal as they are asked.
#[derive(Debug, Default)]
pub struct Parsed {
    pub identity: Vec<Arc<Policy>>,
    /// `None`: no boundary.
    pub boundary: Option<Vec<Arc<Policy>>>,
    /// `None`: no session policies.
    pub session: Option<Vec<Arc<Policy>>>,
    /// A document could not be read. It may have denied anything, so everything is denied.
    pub unreadable: Option<Layer>,
    /// Whether an answer may depend on the resource's tags.
    pub asks_for_tags: bool,
}

/// How the condition keys for a resource's tags begin; IAM has a name of its own for them, too.
pub const TAG_PREFIXES: [&str; 2] = ["aws:ResourceTag/", "iam:ResourceTag/"];

impl Parsed {
    /// Parses everything.
    pub fn new(policies: &PrincipalPolicies) -> Parsed {
        let mut parsed = Parsed::default();
        parsed.identity = parsed.read(&policies.identity, Layer::Identity);
        parsed.boundary = match &policies.boundary {
            Boundary::None => None,
            Boundary::Document(document) => Some(parsed.read(std::slice::from_ref(document), Layer::Boundary)),
            Boundary::Unknown => Some(Vec::new()),
        };
        let session = policies.session.as_ref().map(|documents| parsed.read(documents, Layer::Session));
        parsed.session = session;
        parsed
    }

    fn read(&mut self, documents: &[Arc<str>], layer: Layer) -> Vec<Arc<Policy>> {
        let mut policies = Vec::with_capacity(documents.len());
        for document in documents {
            match Policy::parse(document, Kind::Identity) {
                Ok(policy) => {
                    self.asks_for_tags |= TAG_PREFIXES.iter().any(|prefix| policy.asks_for(prefix));
                    policies.push(Arc::new(policy));
                }
                Err(cause) => {
                    tracing::error!(%cause, ?layer, "a stored policy cannot be read: its principal is denied everything");
                    self.unreadable = Some(layer);
                }
            }
        }
        policies
    }
}
