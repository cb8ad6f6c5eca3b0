//! Compares the scanner with quick-xml: on any well-formed document both find the same tokens.

use super::text::{attributes, unescape};
use super::tokens::{Token, Tokens};
use crate::input::Window;
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;
use std::io::Read;

/// Tags, attributes and text, one per line; text in several tokens is joined.
#[derive(Default, Debug, PartialEq)]
struct Seen {
    lines: Vec<String>,
    text: String,
}

impl Seen {
    fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn line(&mut self, line: String) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() {
            self.lines.push(text);
        }
        self.lines.push(line);
    }
}

/// Gives one byte at a time, so that every token is cut at every place.
struct ByteByByte<'a>(&'a [u8]);

impl Read for ByteByByte<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let length = buf.len().min(1);
        self.0.read(&mut buf[..length])
    }
}

fn ours(document: &str) -> Seen {
    let mut seen = Seen::default();
    let mut tokens = Tokens::new(Window::new(ByteByByte(document.as_bytes()), 1 << 20));
    loop {
        tokens.window.pin();
        let token = tokens.next().unwrap();
        let bytes = tokens.window.pinned().to_vec();
        let string = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        match token {
            Token::Start { name, attributes: span, empty } => {
                seen.line(format!("<{}", string(name.of(&bytes))));
                attributes(&bytes, span, |name, value| {
                    let value = string(value.of(&bytes));
                    seen.line(format!("{}={}", string(name), unescape(&value).unwrap()));
                });
                if empty {
                    seen.line("/>".to_owned());
                }
            }
            Token::End => seen.line("/>".to_owned()),
            Token::Text(span) => seen.text(&unescape(&string(span.of(&bytes))).unwrap()),
            Token::CData(span) => seen.text(&string(span.of(&bytes))),
            Token::Other => {}
            Token::Eof => return seen,
        }
    }
}

fn theirs(document: &str) -> Seen {
    let mut seen = Seen::default();
    let mut reader = Reader::from_str(document);
    reader.config_mut().expand_empty_elements = true;
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                seen.line(format!("<{}", tag.local_name().as_ref()));
                for attribute in tag.attributes() {
                    let attribute = attribute.unwrap();
                    let (name, value) = (attribute.key.local_name(), attribute.value);
                    seen.line(format!("{}={}", name.as_ref(), unescape(&value).unwrap()));
                }
            }
            Event::End(_) => seen.line("/>".to_owned()),
            Event::Text(text) => seen.text(&text),
            Event::GeneralRef(name) => seen.text(&unescape(&format!("&{};", &*name)).unwrap()),
            Event::CData(text) => seen.text(&text),
            Event::Eof => return seen,
            _ => {}
        }
    }
}

fn element() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-zü &]{0,6}".prop_map(|text| text.replace('&', "&amp;")),
        Just("<!-- <no> - ' -->".to_owned()),
        Just("<![CDATA[<a]]b]]>".to_owned()),
        Just("<?pi <x>?>".to_owned()),
        Just("<e/>".to_owned()),
        Just("<n:e a = '1>2' n:b=\"'\"\n/>".to_owned()),
        Just("&#252;".to_owned()),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let name = prop_oneof![Just("a"), Just("n:bc"), Just("ü"), Just("x-1.y")];
        let attributes = prop_oneof![Just(""), Just(" k='v'"), Just("\tn:k=\"&lt;/>\" ")];
        (name, attributes, prop::collection::vec(inner, 0..6))
            .prop_map(|(name, tag, inner)| format!("<{name}{tag}>{}</{name}\n>", inner.concat()))
    })
}

proptest! {
    #[test]
    fn sees_what_quick_xml_sees(inner in prop::collection::vec(element(), 0..5)) {
        let document = format!("<?xml version='1.0'?><root>{}</root>", inner.concat());
        prop_assert_eq!(ours(&document), theirs(&document));
    }
}
