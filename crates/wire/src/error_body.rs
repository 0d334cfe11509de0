//! What every protocol needs to know about an error before it spells it.

use crate::schema::{ErrorModel, Location, MemberShape, OperationModel, ServiceModel, StructureShape};
use gust_types::{AwsError, Doc, Fault};

/// The model of an error: the operation's own, or that of any operation (routing and authentication errors).
pub fn model_of(
    model: &ServiceModel,
    operation: Option<&OperationModel>,
    error: &AwsError,
) -> Option<&'static ErrorModel> {
    let own = operation.into_iter().flat_map(|operation| operation.errors);
    let all = model.operations.iter().flat_map(|operation| operation.errors);
    own.chain(all).find(|known| known.code == error.code)
}

/// The members of an error with their values: those of its shape in the model's order, then what the
/// service added beyond the shape. The message is always there, unless it is empty.
pub fn members(
    shape: Option<&'static StructureShape>,
    error: &AwsError,
) -> Vec<(Option<&'static MemberShape>, &'static str, Doc)> {
    let mut members = Vec::new();
    let mut has_message = error.message.is_empty();
    for member in shape.map(|shape| shape.members).unwrap_or_default() {
        let given = error.fields.iter().find(|(name, _)| *name == member.name).map(|(_, value)| value.clone());
        let is_message = member.name.eq_ignore_ascii_case("message");
        let value = given.or_else(|| match member.name {
            _ if is_message && !error.message.is_empty() => Some(Doc::String(error.message.clone())),
            // Lambda's errors name the one to blame in a member of their own.
            "Type" => Some(Doc::String(if error.fault == Fault::Sender { "User" } else { "Service" }.to_owned())),
            _ => None,
        });
        has_message |= is_message;
        members.extend(value.map(|value| (Some(member), member.wire_name, value)));
    }
    let beyond = error.fields.iter().filter(|(name, _)| shape.is_none_or(|shape| shape.member(name).is_none()));
    members.extend(beyond.map(|(name, value)| (None, *name, value.clone())));
    if !has_message {
        members.push((None, "message", Doc::String(error.message.clone())));
    }
    members
}

/// Whether a member of an error travels in the body.
pub fn in_body(member: Option<&MemberShape>) -> bool {
    member.is_none_or(|member| member.location == Location::Body)
}
