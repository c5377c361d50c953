//! Wire types of CDS Hooks 2.0, pure: no network, no product rules. <https://cds-hooks.hl7.org/2.0/>

mod prefetch;
mod request;
mod response;

pub use prefetch::{Prefetch, State, TOKENS, resolve};
pub use request::{Authorization, Context, HOOKS, HookRequest};
pub use response::{
    Action, ActionType, Card, Indicator, Link, LinkType, Response, SelectionBehavior, Source, Suggestion,
};
