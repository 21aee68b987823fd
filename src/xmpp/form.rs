//! Data forms: what is asked, what was filled in, what came of it.
//!
//! Read first: XEP-0004 section 3. Left out on purpose: checking what was filled in beyond its being there; whoever
//! asks knows better what it must be.

use crate::xml::Element;

pub(crate) const NS: &str = "jabber:x:data";

/// A form to be filled out.
pub(crate) struct Form {
    /// What its fields are defined by (XEP-0068).
    pub(crate) kind: &'static str,
    pub(crate) title: &'static str,
    pub(crate) instructions: &'static str,
    pub(crate) fields: &'static [Field],
}

/// A question.
pub(crate) struct Field {
    pub(crate) var: &'static str,
    /// XEP-0004 3.3.
    pub(crate) kind: &'static str,
    pub(crate) label: &'static str,
    pub(crate) required: bool,
    /// What may be chosen, where something is to be chosen.
    pub(crate) options: &'static [&'static str],
}

impl Form {
    /// The form, empty.
    pub(crate) fn to_element(&self) -> Element {
        let form = Element::new("x", NS)
            .with_attr("type", "form")
            .with(Element::new("title", NS).with_text(self.title))
            .with(Element::new("instructions", NS).with_text(self.instructions))
            .with(form_type(self.kind));
        self.fields.iter().map(Field::to_element).fold(form, Element::with)
    }

    /// What was filled in. An error says in words what is wrong with it.
    pub(crate) fn read<'e>(&self, filled: Option<&'e Element>) -> Result<Filled<'e>, String> {
        let form = Filled(filled);
        if filled.is_none() {
            return Err("fill out the form, please".into());
        }
        if form.one("FORM_TYPE").is_some_and(|kind| kind != self.kind) {
            return Err("this is another form".into());
        }
        let missing = self.fields.iter().find(|field| field.required && form.one(field.var).is_none());
        missing.map_or(Ok(form), |field| Err(format!("{} is missing", field.var)))
    }
}

impl Field {
    fn to_element(&self) -> Element {
        let mut element = field(self.var).with_attr("type", self.kind).with_attr("label", self.label);
        if self.required {
            element = element.with(Element::new("required", NS));
        }
        let option = |text: &&'static str| {
            Element::new("option", NS).with_attr("label", *text).with(value((*text).to_owned()))
        };
        self.options.iter().map(option).fold(element, Element::with)
    }
}

/// A form that was filled out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filled<'e>(Option<&'e Element>);

impl Filled<'_> {
    /// Of what asks nothing.
    pub(crate) const NOTHING: Self = Self(None);

    /// All values of a field, without the empty ones.
    pub(crate) fn all(&self, var: &str) -> Vec<String> {
        let fields = self.0.into_iter().flat_map(Element::children);
        let mut meant = fields.filter(|field| field.is("field", NS) && field.attr("var") == Some(var));
        let values = meant.next().into_iter().flat_map(Element::children);
        let texts = values.filter(|value| value.is("value", NS)).map(|value| value.text().into_owned());
        texts.filter(|text| !text.is_empty()).collect()
    }

    /// The first of them.
    pub(crate) fn one(&self, var: &str) -> Option<String> {
        self.all(var).into_iter().next()
    }
}

/// What came of it: fields with their labels and values.
pub(crate) fn result(
    kind: &'static str,
    fields: impl IntoIterator<Item = (&'static str, &'static str, Vec<String>)>,
) -> Element {
    let form = Element::new("x", NS).with_attr("type", "result").with(form_type(kind));
    let filled = fields.into_iter().map(|(var, label, values)| {
        values.into_iter().map(value).fold(field(var).with_attr("label", label), Element::with)
    });
    filled.fold(form, Element::with)
}

/// XEP-0004 3.4: what came of it, several times.
pub(crate) fn table<const N: usize>(
    columns: [(&'static str, &'static str); N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Element {
    let heads = columns.iter().map(|(var, label)| field(var).with_attr("label", *label));
    let reported = heads.fold(Element::new("reported", NS), Element::with);
    let row = |values: [String; N]| {
        let fields = columns.iter().zip(values).map(|((var, _), text)| field(var).with(value(text)));
        fields.fold(Element::new("item", NS), Element::with)
    };
    let form = Element::new("x", NS).with_attr("type", "result").with(reported);
    rows.into_iter().map(row).fold(form, Element::with)
}

fn form_type(kind: &'static str) -> Element {
    field("FORM_TYPE").with_attr("type", "hidden").with(value(kind.to_owned()))
}

fn field(var: &'static str) -> Element {
    Element::new("field", NS).with_attr("var", var)
}

fn value(text: String) -> Element {
    Element::new("value", NS).with_text(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Reader, XmlLimits};

    const FORM: Form = Form {
        kind: "urn:test",
        title: "Test",
        instructions: "Fill it out.",
        fields: &[
            Field { var: "a", kind: "text-single", label: "A", required: true, options: &[] },
            Field { var: "b", kind: "list-single", label: "B", required: false, options: &["1"] },
        ],
    };

    fn filled(fields: &str) -> Element {
        Reader::read_one(&format!("<x type='submit'>{fields}</x>"), NS, XmlLimits::NONE).unwrap()
    }

    #[test]
    fn a_form_is_asked() {
        assert_eq!(
            FORM.to_element().to_string(),
            "<x xmlns='jabber:x:data' type='form'><title>Test</title><instructions>Fill it out.</instructions>\
             <field var='FORM_TYPE' type='hidden'><value>urn:test</value></field>\
             <field var='a' type='text-single' label='A'><required/></field>\
             <field var='b' type='list-single' label='B'><option label='1'><value>1</value></option></field></x>"
        );
    }

    #[test]
    fn what_was_filled_in() {
        let element =
            filled("<field var='a'><value>1</value><value/><value>2</value></field><field var='b'/>");
        let form = FORM.read(Some(&element)).unwrap();
        assert_eq!((form.one("a").as_deref(), form.all("a").len(), form.one("b")), (Some("1"), 2, None));
    }

    #[test]
    fn what_cannot_be_read() {
        let bad = [
            "",
            "<field var='a'/>",
            "<field var='a'><value/></field>",
            "<field var='b'><value>1</value></field>",
            "<a><value>1</value></a>",
            "<field var='a'><value>1</value></field><field var='FORM_TYPE'><value>urn:x</value></field>",
        ];
        for fields in bad {
            assert!(FORM.read(Some(&filled(fields))).is_err(), "{fields}");
        }
        assert!(FORM.read(None).is_err());
        let good =
            "<field var='a'><value>1</value></field><field var='FORM_TYPE'><value>urn:test</value></field>";
        assert!(FORM.read(Some(&filled(good))).is_ok());
    }
}
