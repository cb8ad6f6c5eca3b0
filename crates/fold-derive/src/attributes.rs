//! The `#[event(..)]` attributes of the enum, a variant and a field.

use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, LitInt, LitStr, Path, Token};

/// The attribute on the enum: `crate = "path"`.
pub(crate) struct EnumAttributes {
    pub(crate) krate: Path,
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
        let mut krate = syn::parse_quote!(::leftfold);
        let take = |name: &str, meta: &syn::meta::ParseNestedMeta<'_>| {
            if name == "crate" || meta.path.is_ident("crate") {
                krate = meta.value()?.parse::<LitStr>()?.parse()?;
                return Ok(true);
            }
            Ok(false)
        };
        each(attributes, take, "`crate = \"...\"`")?;
        Ok(EnumAttributes { krate })
    }
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
            found.tag = Some(key);
            Ok(true)
        };
        each(attributes, take, "`tag` and `tag = \"...\"`")?;
        Ok(found)
    }
}
