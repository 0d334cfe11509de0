//! How policies of several kinds decide together.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html>

use crate::document::{Policy, Request, Verdict};
use crate::principal::{Caller, Grant};
use std::sync::Arc;

/// The kinds of policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Those of the user, its groups, or the role.
    Identity,
    /// The permissions boundary.
    Boundary,
    /// Those that a session was made with.
    Session,
    /// That of the resource.
    Resource,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The caller may.
    Allowed,
    /// No policy of this kind allows it.
    Missing(Layer),
    /// A policy of this kind denies it.
    Denied(Layer),
}

/// Whether the resource is the caller's account's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// One account: its own policies or the resource's suffice.
    SameAccount,
    /// Two accounts: both must allow.
    OtherAccount,
}

/// What the resource's own policy has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// It may allow, or be missing.
    Says(Verdict),
    /// It must allow, as a role's trust policy.
    MustAllow(Verdict),
}

/// What the policies of the caller say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrincipalSide {
    denied: Option<Layer>,
    identity: bool,
    boundary: bool,
    session: bool,
}

impl PrincipalSide {
    /// Asks the caller's policies. A `None` is a limit that does not exist; an empty one allows nothing.
    pub fn new(
        request: &Request<'_>,
        identity: &[Arc<Policy>],
        boundary: Option<&[Arc<Policy>]>,
        session: Option<&[Arc<Policy>]>,
    ) -> PrincipalSide {
        let mut side = PrincipalSide { denied: None, identity: false, boundary: true, session: true };
        let mut ask = |layer, policies: &[Arc<Policy>]| {
            let mut is_allowed = false;
            for policy in policies {
                match policy.verdict(request) {
                    Verdict::Denies => side.denied = side.denied.or(Some(layer)),
                    Verdict::Allows(_) => is_allowed = true,
                    Verdict::Silent => {}
                }
            }
            is_allowed
        };
        // Nothing needs to allow an account's root anything.
        let is_root = matches!(request.caller(), Caller::Root { .. });
        let is_allowed = ask(Layer::Identity, identity) || is_root;
        let boundary = boundary.is_none_or(|policies| ask(Layer::Boundary, policies));
        let session = session.is_none_or(|policies| ask(Layer::Session, policies));
        PrincipalSide { identity: is_allowed, boundary, session, ..side }
    }

    /// Whether the caller's policies allow it all by themselves.
    pub fn is_allowed(&self) -> bool {
        self.denied.is_none() && self.missing().is_none()
    }

    /// Whether they deny it, whatever the resource says.
    pub fn is_denied(&self) -> bool {
        self.denied.is_some()
    }

    fn missing(&self) -> Option<Layer> {
        if self.identity { self.missing_limit() } else { Some(Layer::Identity) }
    }

    /// What is missing of those policies that only limit.
    fn missing_limit(&self) -> Option<Layer> {
        match (self.boundary, self.session) {
            (false, _) => Some(Layer::Boundary),
            (true, false) => Some(Layer::Session),
            (true, true) => None,
        }
    }

    /// Decides together with the resource's policy.
    pub fn decide(&self, caller: &Caller<'_>, relation: Relation, resource: Resource) -> Decision {
        let (verdict, must_allow) = match resource {
            Resource::Says(verdict) => (verdict, false),
            Resource::MustAllow(verdict) => (verdict, true),
        };
        if let Some(layer) = self.denied {
            return Decision::Denied(layer);
        }
        let grant = match verdict {
            Verdict::Denies => return Decision::Denied(Layer::Resource),
            Verdict::Allows(grant) => Some(grant),
            Verdict::Silent => None,
        };
        if let Caller::Anybody | Caller::Service(_) = caller {
            return grant.map_or(Decision::Missing(Layer::Resource), |_| Decision::Allowed);
        }
        let missing = match (relation, grant) {
            (Relation::OtherAccount, None) => Some(Layer::Resource),
            (Relation::SameAccount, None) if must_allow => Some(Layer::Resource),
            (Relation::SameAccount, Some(Grant::Direct)) => None,
            (Relation::SameAccount, Some(Grant::Role)) => self.missing_limit(),
            _ => self.missing(),
        };
        missing.map_or(Decision::Allowed, Decision::Missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Caller<'_> =
        Caller::User { account: "000000000000", arn: "arn:aws:iam::000000000000:user/ann", id: "AIDAANN" };
    const OPEN: PrincipalSide = PrincipalSide { denied: None, identity: true, boundary: true, session: true };
    const SILENT: PrincipalSide = PrincipalSide { identity: false, ..OPEN };
    const BOUND: PrincipalSide = PrincipalSide { boundary: false, ..OPEN };

    #[test]
    fn within_an_account_one_side_suffices() {
        let same = |side: PrincipalSide, verdict| side.decide(&ANN, Relation::SameAccount, Resource::Says(verdict));
        for (side, verdict, expected) in [
            (OPEN, Verdict::Silent, Decision::Allowed),
            (OPEN, Verdict::Denies, Decision::Denied(Layer::Resource)),
            (SILENT, Verdict::Silent, Decision::Missing(Layer::Identity)),
            (SILENT, Verdict::Allows(Grant::Direct), Decision::Allowed),
            (SILENT, Verdict::Allows(Grant::Role), Decision::Allowed),
            (SILENT, Verdict::Allows(Grant::Account), Decision::Missing(Layer::Identity)),
            (BOUND, Verdict::Silent, Decision::Missing(Layer::Boundary)),
            (BOUND, Verdict::Allows(Grant::Direct), Decision::Allowed),
            (BOUND, Verdict::Allows(Grant::Role), Decision::Missing(Layer::Boundary)),
            (PrincipalSide { session: false, ..OPEN }, Verdict::Silent, Decision::Missing(Layer::Session)),
            (PrincipalSide { session: false, ..OPEN }, Verdict::Allows(Grant::Role), Decision::Missing(Layer::Session)),
            (
                PrincipalSide { denied: Some(Layer::Boundary), ..OPEN },
                Verdict::Allows(Grant::Direct),
                Decision::Denied(Layer::Boundary),
            ),
        ] {
            assert_eq!(same(side, verdict), expected, "{side:?} {verdict:?}");
        }
    }

    #[test]
    fn between_accounts_both_must_allow() {
        let other = |side: PrincipalSide, verdict| side.decide(&ANN, Relation::OtherAccount, Resource::Says(verdict));
        for (side, verdict, expected) in [
            (OPEN, Verdict::Silent, Decision::Missing(Layer::Resource)),
            (OPEN, Verdict::Allows(Grant::Account), Decision::Allowed),
            (SILENT, Verdict::Allows(Grant::Direct), Decision::Missing(Layer::Identity)),
            (BOUND, Verdict::Allows(Grant::Direct), Decision::Missing(Layer::Boundary)),
        ] {
            assert_eq!(other(side, verdict), expected, "{side:?} {verdict:?}");
        }
    }

    #[test]
    fn a_trust_policy_must_allow() {
        let trust =
            |side: PrincipalSide, verdict| side.decide(&ANN, Relation::SameAccount, Resource::MustAllow(verdict));
        assert_eq!(trust(OPEN, Verdict::Silent), Decision::Missing(Layer::Resource));
        assert_eq!(trust(OPEN, Verdict::Allows(Grant::Account)), Decision::Allowed);
        assert_eq!(trust(SILENT, Verdict::Allows(Grant::Account)), Decision::Missing(Layer::Identity));
        assert_eq!(trust(SILENT, Verdict::Allows(Grant::Direct)), Decision::Allowed);
    }

    #[test]
    fn strangers_and_services_have_only_the_resource() {
        for caller in [Caller::Anybody, Caller::Service("s3.amazonaws.com")] {
            let decide = |verdict| SILENT.decide(&caller, Relation::OtherAccount, Resource::Says(verdict));
            assert_eq!(decide(Verdict::Allows(Grant::Direct)), Decision::Allowed);
            assert_eq!(decide(Verdict::Silent), Decision::Missing(Layer::Resource));
            assert_eq!(decide(Verdict::Denies), Decision::Denied(Layer::Resource));
        }
    }
}
