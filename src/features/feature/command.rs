//! A command of the host, as the features that have some describe it.
//!
//! Read first: XEP-0050 section 2. Left out on purpose: how it is executed; one feature does that for all commands
//! ([`super::Feature::commands`]). Commands of several forms: none here asks twice.

use std::borrow::Cow;

use crate::im::ctx::Ctx;
use crate::xml::ns;
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::form::{Filled, Form};
use crate::xmpp::jid::Jid;

/// A command.
pub(crate) struct Command {
    /// By what it is called for.
    pub(crate) node: &'static str,
    /// How people call it.
    pub(crate) name: &'static str,
    /// Who may execute it, and see that it is there.
    pub(crate) allowed: fn(&Ctx<'_>, &Jid) -> bool,
    /// What is to be filled out before, if anything is.
    pub(crate) form: Option<&'static Form>,
    pub(crate) run: fn(&mut Ctx<'_>, &Jid, &Filled<'_>) -> Result<Done, StanzaError>,
}

/// What came of a command: forms and notes.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) elements: Vec<Element>,
}

impl Done {
    pub(crate) fn form(form: Element) -> Self {
        Self { elements: vec![form] }
    }

    /// The same, and a word about it.
    pub(crate) fn with_note(mut self, kind: &'static str, text: String) -> Self {
        let note = Element::new("note", ns::COMMANDS).with_attr("type", kind).with_text(text);
        self.elements.push(note);
        self
    }
}

/// XEP-0050 4.4: what was filled in cannot be used.
pub(crate) fn bad_payload(text: impl Into<Cow<'static, str>>) -> StanzaError {
    StanzaError::because(Condition::BadRequest, text).with_detail("bad-payload", ns::COMMANDS)
}
