//! The `#[serde(..)]` attributes of the enum and of a variant. Those without an effect are errors.

use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Meta, Path, Token};

/// How serde renames fields: what stands behind `rename_all_fields` or `rename_all`.
#[derive(Clone)]
pub(crate) struct RenameRule(Meta);

impl RenameRule {
    /// Returns the attribute for a struct or a variant.
    pub(crate) fn of_fields(&self) -> TokenStream {
        let mut meta = self.0.clone();
        let name: Path = syn::parse_quote!(rename_all);
        match &mut meta {
            Meta::Path(path) => *path = name,
            Meta::List(list) => list.path = name,
            Meta::NameValue(pair) => pair.path = name,
        }
        quote!(#[serde(#meta)])
    }
}

/// Returns the attributes that belong to serde.
pub(crate) fn of_serde(attributes: &[Attribute]) -> Vec<&Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("serde")).collect()
}

/// Reads those of the enum: only `rename_all_fields` has an effect.
pub(crate) fn read_enum(attributes: &[Attribute]) -> syn::Result<Option<RenameRule>> {
    read(attributes, "rename_all_fields", |name| {
        let instead = match name {
            "rename_all" => "Name an event type by `#[event(name = \"...\")]` on its variant",
            _ => "Put attributes on the fields, or wrap a struct in the variant",
        };
        format!(
            "`#[serde({name})]` on an enum of events has no effect: the event type is the variant's \
             name, and the payload has the variant's fields. {instead}. Only `rename_all_fields` is \
             known here"
        )
    })
}

/// Reads those of a variant: only `rename_all` has an effect, and only on named fields.
pub(crate) fn read_variant(
    attributes: &[Attribute],
    has_fields: bool,
) -> syn::Result<Option<RenameRule>> {
    let known = if has_fields { "rename_all" } else { "" };
    read(attributes, known, |name| {
        let instead = match name {
            "rename" => "Name the event type by `#[event(name = \"...\")]`",
            _ if has_fields => "Put it on the fields; only `rename_all` is known here",
            _ => "Put it on the fields of a struct that the variant wraps",
        };
        format!("`#[serde({name})]` on this variant has no effect. {instead}")
    })
}

/// Refuses attributes on the field of a variant that wraps a whole type.
pub(crate) fn refuse_on_whole(attributes: &[Attribute]) -> syn::Result<()> {
    read(attributes, "", |name| {
        format!(
            "`#[serde({name})]` has no effect here: the payload is the wrapped type, as serde writes \
             it. Put the attribute on that type"
        )
    })
    .map(drop)
}

fn read(
    attributes: &[Attribute],
    known: &str,
    sentence: impl Fn(&str) -> String,
) -> syn::Result<Option<RenameRule>> {
    let mut found = None;
    for attribute in of_serde(attributes) {
        let metas = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?;
        for meta in metas {
            let name = meta.path().get_ident().map(ToString::to_string).unwrap_or_default();
            if name != known {
                return Err(Error::new(meta.path().span(), sentence(&name)));
            }
            found = Some(RenameRule(meta));
        }
    }
    Ok(found)
}
