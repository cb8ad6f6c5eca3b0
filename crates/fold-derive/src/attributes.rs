//! The `#[event(..)]` attributes of the enum, a variant and a field.

use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, LitInt, LitStr, Path, Token};

/// The attributes on the enum: `crate = "path"`, `prefix = "..."`, `category = "..."`.
pub(crate) struct EnumAttributes {
    pub(crate) krate: Path,
    pub(crate) prefix: Option<LitStr>,
    pub(crate) category: Option<LitStr>,
}

/// The attributes on a variant: `name = "..."`, `version = n`, `upcast(f, g, ..)`.
#[derive(Default)]
pub(crate) struct VariantAttributes {
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Option<LitInt>,
    pub(crate) upcasts: Vec<Expr>,
}

/// The attribute on a field: `tag`, or `tag = "key"`.
#[derive(Default)]
pub(crate) struct FieldAttributes {
    pub(crate) tag: Option<Option<LitStr>>,
}

fn each(
    attributes: &[Attribute],
    mut take: impl FnMut(&str, &syn::meta::ParseNestedMeta<'_>) -> syn::Result<bool>,
    allowed: &str,
) -> syn::Result<()> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("event")) {
        attribute.parse_nested_meta(|meta| {
            let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            if take(&name, &meta)? {
                return Ok(());
            }
            Err(meta.error(format!("`event` knows only {allowed} here")))
        })?;
    }
    Ok(())
}

impl EnumAttributes {
    pub(crate) fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut found =
            EnumAttributes { krate: syn::parse_quote!(::leftfold), prefix: None, category: None };
        let take = |name: &str, meta: &syn::meta::ParseNestedMeta<'_>| {
            match name {
                "crate" => found.krate = meta.value()?.parse::<LitStr>()?.parse()?,
                "prefix" => found.prefix = Some(meta.value()?.parse()?),
                "category" => found.category = Some(category(meta.value()?.parse()?)?),
                _ => return Ok(false),
            }
            Ok(true)
        };
        each(attributes, take, "`prefix = \"...\"`, `category = \"...\"` and `crate = \"...\"`")?;
        Ok(found)
    }
}

/// Checks the category of the enum's streams.
fn category(text: LitStr) -> syn::Result<LitStr> {
    let value = text.value();
    if value.contains('-') {
        let message = format!(
            "a stream's category ends at the first `-` of its name: `{value}-1` would be in category \
             `{}`; write it without `-`",
            value.split('-').next().unwrap_or_default(),
        );
        return Err(syn::Error::new(text.span(), message));
    }
    check_name(&text, "a category")?;
    Ok(text)
}

/// Checks a text that will be (part of) the name of a stream, an event type or a tag.
pub(crate) fn check_name(text: &LitStr, what: &str) -> syn::Result<()> {
    let value = text.value();
    let wrong = match &*value {
        "" => "is not empty",
        _ if value.starts_with('$') => "does not begin with `$`, which belongs to the store itself",
        _ if value.chars().any(char::is_control) => "has no control characters",
        _ if value.len() > 1_000 => "has at most 1000 bytes",
        _ => return Ok(()),
    };
    Err(syn::Error::new(text.span(), format!("{what} {wrong}")))
}

impl VariantAttributes {
    pub(crate) fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut found = VariantAttributes::default();
        let take = |name: &str, meta: &syn::meta::ParseNestedMeta<'_>| {
            match name {
                "name" => found.name = Some(meta.value()?.parse()?),
                "version" => found.version = Some(meta.value()?.parse()?),
                "upcast" => {
                    let content;
                    syn::parenthesized!(content in meta.input);
                    let list = Punctuated::<Expr, Token![,]>::parse_terminated(&content)?;
                    found.upcasts = list.into_iter().collect();
                }
                _ => return Ok(false),
            }
            Ok(true)
        };
        each(attributes, take, "`name = \"...\"`, `version = ...` and `upcast(...)`")?;
        Ok(found)
    }
}

impl FieldAttributes {
    pub(crate) fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut found = FieldAttributes::default();
        let take = |name: &str, meta: &syn::meta::ParseNestedMeta<'_>| {
            if name != "tag" {
                return Ok(false);
            }
            let key = if meta.input.peek(Token![=]) { Some(meta.value()?.parse()?) } else { None };
            found.tag = Some(key.map(tag_key).transpose()?);
            Ok(true)
        };
        each(attributes, take, "`tag` and `tag = \"...\"`")?;
        Ok(found)
    }
}

/// Checks the key of a tag.
fn tag_key(key: LitStr) -> syn::Result<LitStr> {
    if key.value().contains('=') {
        let message = "the key of a tag has no `=`, which stands between key and value";
        return Err(syn::Error::new(key.span(), message));
    }
    check_name(&key, "the key of a tag")?;
    Ok(key)
}
