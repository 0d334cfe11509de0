//! Who asks, and whom a statement of a resource's policy means.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>

/// Whoever sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller<'a> {
    /// Nobody known.
    Anybody,
    /// An AWS service, for example `s3.amazonaws.com`.
    Service(&'a str),
    /// The root of an account.
    Root {
        /// The account.
        account: &'a str,
    },
    /// A user, or somebody with a session of a user's own.
    User {
        /// The account.
        account: &'a str,
        /// The user's ARN.
        arn: &'a str,
        /// `AIDA...`
        id: &'a str,
    },
    /// A session of a role, or one that a user lends (a federated user).
    Session {
        /// The account.
        account: &'a str,
        /// The session's ARN.
        arn: &'a str,
        /// The ARN of the role or user.
        issuer: &'a str,
        /// `AROA...:name`
        id: &'a str,
    },
}

/// How far a resource's policy lets a caller in.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-req-resource-id.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// Its account: the account's own policies must allow it, too.
    Account,
    /// Its role: boundary and session policies must allow it, too.
    Role,
    /// Itself: nothing else needs to allow it within the account.
    Direct,
}

/// Whom a statement means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principals {
    /// `Principal`
    These(Vec<Named>),
    /// `NotPrincipal`
    AllBut(Vec<Named>),
}

/// One entry of `Principal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// `*`
    Everybody,
    /// An account's id, or the ARN of its root.
    Account(String),
    /// The ARN of a user, a role or a session, or a unique id.
    Identity(String),
    /// `Service`
    Service(String),
    /// `Federated` and `CanonicalUser`: nobody who can call gust.
    Other,
}

impl Named {
    /// An entry under `AWS`.
    pub fn aws(text: &str) -> Named {
        if text == "*" {
            return Named::Everybody;
        }
        let is_account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts[..] {
            ["arn", _, "iam", "", account, "root"] if is_account(account) => Named::Account(account.to_owned()),
            _ if is_account(text) => Named::Account(text.to_owned()),
            _ => Named::Identity(text.to_owned()),
        }
    }

    /// Whether it means the caller, and how directly.
    fn grant(&self, caller: &Caller<'_>) -> Option<Grant> {
        match (self, caller) {
            // Whoever a session is of is limited by its boundary; the documents say nothing of `*` (inferred).
            (Named::Everybody, Caller::Session { .. }) => Some(Grant::Role),
            (Named::Everybody, _) => Some(Grant::Direct),
            (Named::Service(name), Caller::Service(service)) => (name == service).then_some(Grant::Direct),
            (Named::Account(named), Caller::Root { account }) => (named == account).then_some(Grant::Direct),
            (Named::Account(named), Caller::User { account, .. } | Caller::Session { account, .. }) => {
                (named == account).then_some(Grant::Account)
            }
            (Named::Identity(named), Caller::User { arn, id, .. }) => {
                (named == arn || named == id).then_some(Grant::Direct)
            }
            (Named::Identity(named), Caller::Session { arn, issuer, id, .. }) => {
                let is_role = named == issuer || id.split(':').next() == Some(named);
                if named == arn { Some(Grant::Direct) } else { is_role.then_some(Grant::Role) }
            }
            _ => None,
        }
    }
}

impl Principals {
    /// Whether a statement means the caller, and how directly.
    pub fn grant(&self, caller: &Caller<'_>) -> Option<Grant> {
        match self {
            Principals::These(named) => named.iter().filter_map(|named| named.grant(caller)).max(),
            Principals::AllBut(named) => {
                let is_named = |caller: Caller<'_>| named.iter().any(|named| named.grant(&caller).is_some());
                let all_named = identities(caller).into_iter().flatten().all(is_named);
                (!all_named).then_some(Grant::Role)
            }
        }
    }
}

/// What `NotPrincipal` must name to spare a caller: itself, its role and its account.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html>
fn identities<'a>(caller: &Caller<'a>) -> [Option<Caller<'a>>; 3] {
    match *caller {
        Caller::Anybody | Caller::Service(_) | Caller::Root { .. } => [Some(*caller), None, None],
        Caller::User { account, arn, .. } => {
            // An entry for the account does not name the user.
            let user = Caller::User { account: "", arn, id: "" };
            [Some(Caller::Root { account }), Some(user), None]
        }
        Caller::Session { account, arn, issuer, .. } => {
            let role = Caller::User { account: "", arn: issuer, id: "" };
            let session = Caller::User { account: "", arn, id: "" };
            [Some(Caller::Root { account }), Some(role), Some(session)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "000000000000";
    const ROOT: &str = "arn:aws:iam::000000000000:root";
    const USER: &str = "arn:aws:iam::000000000000:user/ann";
    const ROLE: &str = "arn:aws:iam::000000000000:role/team/worker";
    const SESSION: &str = "arn:aws:sts::000000000000:assumed-role/worker/s";

    const ANN: Caller<'_> = Caller::User { account: ACCOUNT, arn: USER, id: "AIDAANN" };
    const WORKER: Caller<'_> = Caller::Session { account: ACCOUNT, arn: SESSION, issuer: ROLE, id: "AROAWORKER:s" };

    fn grant(entries: &[&str], caller: &Caller<'_>) -> Option<Grant> {
        Principals::These(entries.iter().map(|entry| Named::aws(entry)).collect()).grant(caller)
    }

    #[test]
    fn each_form_means_its_callers() {
        for (entry, user, session, root) in [
            ("*", Some(Grant::Direct), Some(Grant::Role), Some(Grant::Direct)),
            (ACCOUNT, Some(Grant::Account), Some(Grant::Account), Some(Grant::Direct)),
            (ROOT, Some(Grant::Account), Some(Grant::Account), Some(Grant::Direct)),
            ("111111111111", None, None, None),
            (USER, Some(Grant::Direct), None, None),
            ("AIDAANN", Some(Grant::Direct), None, None),
            (ROLE, None, Some(Grant::Role), None),
            ("AROAWORKER", None, Some(Grant::Role), None),
            (SESSION, None, Some(Grant::Direct), None),
            ("arn:aws:iam::000000000000:role/worker", None, None, None),
        ] {
            let callers = [&ANN, &WORKER, &Caller::Root { account: ACCOUNT }];
            assert_eq!(callers.map(|caller| grant(&[entry], caller)), [user, session, root], "{entry}");
        }
        assert_eq!(grant(&[ACCOUNT, USER], &ANN), Some(Grant::Direct), "the most direct one counts");
        assert_eq!(grant(&["*"], &Caller::Anybody), Some(Grant::Direct));
        assert_eq!(grant(&[ROOT], &Caller::Anybody), None);
    }

    #[test]
    fn services_are_named_as_such() {
        let named = Principals::These(vec![Named::Service("s3.amazonaws.com".to_owned()), Named::Other]);
        assert_eq!(named.grant(&Caller::Service("s3.amazonaws.com")), Some(Grant::Direct));
        for caller in [Caller::Service("sns.amazonaws.com"), ANN, Caller::Anybody] {
            assert_eq!(named.grant(&caller), None);
        }
    }

    #[test]
    fn not_principal_spares_only_whom_it_names_wholly() {
        let spared = |entries: &[&str], caller: &Caller<'_>| {
            Principals::AllBut(entries.iter().map(|entry| Named::aws(entry)).collect()).grant(caller).is_none()
        };
        assert!(spared(&[ROOT, USER], &ANN));
        assert!(!spared(&[USER], &ANN));
        assert!(!spared(&[ROOT], &ANN));
        assert!(spared(&[ROOT, ROLE, SESSION], &WORKER));
        assert!(!spared(&[ROOT, ROLE], &WORKER));
        assert!(spared(&["*"], &ANN));
        assert!(!spared(&[ROOT, USER], &Caller::Anybody));
    }
}
