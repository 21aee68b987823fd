//! Whether what came is what was expected: trees, with `{any}`, `{none}` and `{=name}` in place of text.

use std::collections::HashMap;

use loquat::xml::{Attribute, Element, Node};

/// What `{=name}` remembered.
pub type Captures = HashMap<String, String>;

/// Compares whole elements. An error says where they differ.
pub fn same(expected: &Element, actual: &Element, captures: &mut Captures) -> Result<(), String> {
    if (expected.name(), expected.ns()) != (actual.name(), actual.ns()) {
        return Err(format!(
            "<{}> of {:?}, not <{}> of {:?}",
            actual.name(),
            actual.ns(),
            expected.name(),
            expected.ns()
        ));
    }
    if let Some(extra) = actual.attributes().iter().find(|a| find(expected, a).is_none()) {
        return Err(format!("<{}> has {}={:?}", actual.name(), extra.name, extra.value));
    }
    same_attributes(expected, actual, captures)?;
    let (wanted, got) = (content(expected), content(actual));
    if let [Node::Text(only)] = wanted.as_slice() {
        if only == "{any}" {
            return Ok(());
        }
    }
    if wanted.len() != got.len() {
        return Err(format!("<{}> contains {} nodes, not {}", actual.name(), got.len(), wanted.len()));
    }
    for (wanted, got) in wanted.iter().zip(&got) {
        match (wanted, got) {
            (Node::Element(wanted), Node::Element(got)) => same(wanted, got, captures)?,
            (Node::Text(wanted), Node::Text(got)) => same_text(actual.name(), wanted, got, captures)?,
            _ => return Err(format!("<{}> has text where an element is, or the reverse", actual.name())),
        }
    }
    Ok(())
}

/// Compares the attributes that `expected` names.
pub fn same_attributes(expected: &Element, actual: &Element, captures: &mut Captures) -> Result<(), String> {
    for wanted in expected.attributes() {
        match (find(actual, wanted), wanted.value.as_ref()) {
            (None, "{none}") => (),
            (Some(got), value) => same_text(&wanted.name, value, &got.value, captures)?,
            (None, _) => return Err(format!("<{}> has no {}", actual.name(), wanted.name)),
        }
    }
    Ok(())
}

fn find<'e>(element: &'e Element, like: &Attribute) -> Option<&'e Attribute> {
    let ns = |a: &Attribute| a.qualifier.as_ref().map(|q| q.ns.clone());
    element.attributes().iter().find(|a| a.name == like.name && ns(a) == ns(like))
}

/// Content, with neighbouring texts joined and white space between elements left out.
fn content(element: &Element) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for node in element.nodes() {
        match (nodes.last_mut(), node) {
            (Some(Node::Text(last)), Node::Text(text)) => *last = format!("{last}{text}").into(),
            _ => nodes.push(node.clone()),
        }
    }
    let has_elements = nodes.iter().any(|node| matches!(node, Node::Element(_)));
    nodes.retain(|node| !matches!(node, Node::Text(text) if has_elements && text.trim().is_empty()));
    nodes
}

fn same_text(place: &str, expected: &str, actual: &str, captures: &mut Captures) -> Result<(), String> {
    if expected == "{any}" {
        return Ok(());
    }
    if let Some(name) = expected.strip_prefix("{=").and_then(|rest| rest.strip_suffix('}')) {
        captures.insert(name.into(), actual.into());
        return Ok(());
    }
    if expected == actual {
        Ok(())
    } else {
        Err(format!("{place} is {actual:?}, not {expected:?}"))
    }
}
