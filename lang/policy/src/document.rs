//! A policy in memory, and what it says of a request.

use crate::Context;
use crate::condition::Condition;
use crate::principal::{Caller, Grant, Principals};
use crate::template::Template;

/// A document.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(crate) statements: Vec<Statement>,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// `Allow`
    Allow,
    /// `Deny`
    Deny,
}

/// One statement. What it does not have (a trust policy's resource, an identity policy's principal) applies always.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    pub effect: Effect,
    pub principals: Option<Principals>,
    /// In lower case: actions are not distinguished by case.
    pub actions: Listed,
    pub resources: Option<Listed>,
    pub conditions: Vec<Condition>,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listed {
    pub templates: Vec<Template>,
    /// All but what is listed.
    pub is_negated: bool,
}

/// What is asked of a policy.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    caller: Caller<'a>,
    /// In lower case.
    action: String,
    resource: &'a str,
    context: &'a Context,
}

/// What one policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It denies, whatever else says what.
    Denies,
    /// It allows; of a policy without principals that is always [`Grant::Direct`].
    Allows(Grant),
    /// Neither.
    Silent,
}

impl<'a> Request<'a> {
    /// May `caller` do `action` to `resource`?
    pub fn new(caller: Caller<'a>, action: &str, resource: &'a str, context: &'a Context) -> Request<'a> {
        Request { caller, action: action.to_ascii_lowercase(), resource, context }
    }

    /// Who asks.
    pub fn caller(&self) -> &Caller<'a> {
        &self.caller
    }
}

impl Policy {
    /// What it says of a request: one statement that denies outweighs all that allow.
    pub fn verdict(&self, request: &Request<'_>) -> Verdict {
        let mut granted = None;
        for statement in &self.statements {
            // An allowance that another one has already given needs no second look.
            if statement.effect == Effect::Allow && granted == Some(Grant::Direct) {
                continue;
            }
            match (statement.applies(request), statement.effect) {
                (Some(_), Effect::Deny) => return Verdict::Denies,
                (Some(grant), Effect::Allow) => granted = granted.max(Some(grant)),
                (None, _) => {}
            }
        }
        granted.map_or(Verdict::Silent, Verdict::Allows)
    }

    /// Whether a condition or a variable looks at a key that begins with `prefix`.
    pub fn asks_for(&self, prefix: &str) -> bool {
        let begins = |key: &str| key.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
        self.statements.iter().any(|statement| {
            let in_resources = statement
                .resources
                .iter()
                .flat_map(|listed| &listed.templates)
                .flat_map(Template::variables)
                .any(begins);
            in_resources || statement.conditions.iter().flat_map(Condition::keys).any(begins)
        })
    }
}

impl Statement {
    fn applies(&self, request: &Request<'_>) -> Option<Grant> {
        let Request { caller, action, resource, context } = request;
        let grant = match &self.principals {
            Some(principals) => principals.grant(caller)?,
            None => Grant::Direct,
        };
        let applies = self.actions.covers(action, context, self.effect)
            && self.resources.as_ref().is_none_or(|resources| resources.covers(resource, context, self.effect))
            && self.conditions.iter().all(|condition| condition.holds(context));
        applies.then_some(grant)
    }
}

impl Listed {
    fn covers(&self, text: &str, context: &Context, effect: Effect) -> bool {
        // Nobody knows what "all but an unknown name" is: it allows nothing and denies everything.
        if self.is_negated && self.templates.iter().any(|template| !template.is_defined(context)) {
            return effect == Effect::Deny;
        }
        self.templates.iter().any(|template| template.matches(text, context)) != self.is_negated
    }
}
