//! Decides who may do what, out of the policies of callers and resources (the port
//! [`gust_kit::ports::Authorizer`]).

mod authorizer;
mod cache;
mod context;
mod parsed;

pub use authorizer::PolicyAuthorizer;
