//! Commands of the host, executed step by step: a form is given out, filled out, and acted upon.
//!
//! Read first: XEP-0050. Which commands there are, the features say ([`super::Feature::commands`]).
//! Left out on purpose: going back, since no command has more than one form, and languages other than our own.

use super::{bad_payload, Answer, Command, Done, Feature, Node, Route, Target, FEATURES};
use crate::im::ctx::Ctx;
use crate::im::sender::Sender;
use crate::tables::NoCommandSession;
use crate::xml::ns::COMMANDS as NS;
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::form::{self, Filled, Form};
use crate::xmpp::jid::Jid;
use crate::xmpp::stanza::{IqType, Stanza};

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0050: Ad-Hoc Commands",
    disco: &[NS],
    node,
    iq: &[Route { name: "command", ns: NS, at: Target::Host, kind: IqType::Set, handler: execute }],
    ..Feature::NOTHING
};

fn commands() -> impl Iterator<Item = &'static Command> {
    FEATURES.iter().flat_map(|feature| feature.commands)
}

/// XEP-0050 2.2: the list of those that may be executed, and each of them.
fn node(ctx: &Ctx<'_>, from: &Jid, node: &str) -> Option<Result<Node, Condition>> {
    if node == NS {
        let allowed = commands().filter(|command| (command.allowed)(ctx, from));
        let items = allowed.map(|command| (command.node, command.name)).collect();
        let kind = ("automation", "command-list");
        return Some(Ok(Node { kind, name: "Commands", features: &[NS], items }));
    }
    let command = commands().find(|command| command.node == node)?;
    if !(command.allowed)(ctx, from) {
        return Some(Err(Condition::Forbidden));
    }
    let kind = ("automation", "command-node");
    Some(Ok(Node { kind, name: command.name, features: &[NS, form::NS], items: Vec::new() }))
}

/// What is to be done (XEP-0050 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Execute,
    Complete,
    Next,
    Prev,
    Cancel,
}

fn action(request: &Element) -> Result<Action, StanzaError> {
    match request.attr("action") {
        None | Some("execute") => Ok(Action::Execute),
        Some("complete") => Ok(Action::Complete),
        Some("next") => Ok(Action::Next),
        Some("prev") => Ok(Action::Prev),
        Some("cancel") => Ok(Action::Cancel),
        Some(_) => Err(refusal(Condition::BadRequest, "malformed-action")),
    }
}

/// XEP-0050 2.4. Whether there is such a command and whether one may execute it is asked at each step.
fn execute(ctx: &mut Ctx<'_>, sender: &Sender<'_>, set: &Stanza) -> Answer {
    let from = sender.address();
    let request = set.payload().ok_or(Condition::BadRequest)?;
    let node = request.attr("node").ok_or(Condition::BadRequest)?;
    let command = commands().find(|command| command.node == node).ok_or(Condition::ItemNotFound)?;
    if !(command.allowed)(ctx, from) {
        return Err(Condition::Forbidden.into());
    }
    let action = action(request)?;
    match (request.attr("sessionid"), action) {
        (Some(id), _) => go_on(ctx, from, command, id, action, request),
        (None, Action::Execute) => begin(ctx, from, command),
        (None, _) => Err(refusal(Condition::BadRequest, "bad-action")),
    }
    .map(Some)
}

/// XEP-0050 2.4.1 and 2.4.2: one that asks nothing is done at once.
fn begin(ctx: &mut Ctx<'_>, from: &Jid, command: &'static Command) -> Result<Element, StanzaError> {
    let id = ctx.random.token().map_err(|_| Condition::InternalServerError)?;
    let Some(form) = command.form else {
        let done = run(ctx, from, command, &Filled::NOTHING)?;
        return Ok(completed(command, &id, done));
    };
    let until = ctx.now.monotonic + ctx.config.limits.command_time;
    ctx.tables.command_sessions.begin(&id, from, command.node, until);
    Ok(executing(command, &id, form))
}

/// The second step. After an error one may try again.
fn go_on(
    ctx: &mut Ctx<'_>,
    from: &Jid,
    command: &'static Command,
    id: &str,
    action: Action,
    request: &Element,
) -> Result<Element, StanzaError> {
    let checked = ctx.tables.command_sessions.check(id, from, command.node, ctx.now.monotonic);
    checked.map_err(|error| match error {
        NoCommandSession::Unknown => refusal(Condition::BadRequest, "bad-sessionid"),
        NoCommandSession::Over => refusal(Condition::NotAllowed, "session-expired"),
    })?;
    let answer = match action {
        Action::Next | Action::Prev => return Err(refusal(Condition::BadRequest, "bad-action")),
        Action::Cancel => state(command, id, "canceled"),
        Action::Execute | Action::Complete => {
            let read = command.form.map(|form| form.read(request.child("x", form::NS)));
            let filled = read.unwrap_or(Ok(Filled::NOTHING)).map_err(bad_payload)?;
            let done = run(ctx, from, command, &filled)?;
            completed(command, id, done)
        }
    };
    ctx.tables.command_sessions.end(id);
    Ok(answer)
}

fn run(ctx: &mut Ctx<'_>, from: &Jid, command: &Command, filled: &Filled<'_>) -> Result<Done, StanzaError> {
    let done = (command.run)(ctx, from, filled)?;
    log::info!("{from} has executed {}", command.node);
    Ok(done)
}

/// XEP-0050 4.4: an error with the condition of these commands beside the general one.
fn refusal(condition: Condition, name: &'static str) -> StanzaError {
    StanzaError::from(condition).with_detail(name, NS)
}

fn state(command: &Command, id: &str, status: &'static str) -> Element {
    Element::new("command", NS)
        .with_attr("node", command.node)
        .with_attr("sessionid", id.to_owned())
        .with_attr("status", status)
}

/// XEP-0050 4.2: there is nothing to be done with a form but to complete it.
fn executing(command: &Command, id: &str, form: &Form) -> Element {
    let actions =
        Element::new("actions", NS).with_attr("execute", "complete").with(Element::new("complete", NS));
    state(command, id, "executing").with(actions).with(form.to_element())
}

fn completed(command: &Command, id: &str, done: Done) -> Element {
    done.elements.into_iter().fold(state(command, id, "completed"), Element::with)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_node_of_its_own() {
        let mut nodes: Vec<_> = commands().map(|command| command.node).collect();
        nodes.sort_unstable();
        assert!(!nodes.is_empty() && nodes.windows(2).all(|pair| pair[0] != pair[1]), "{nodes:?}");
    }
}
