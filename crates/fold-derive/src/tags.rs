//! The tags of fields: one of a plain field, none or one of an `Option`, several of a `Vec`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericArgument, Ident, PathArguments, Type};

/// A tag of a field: its key, and the type of a single value.
pub(crate) struct Tag<'a> {
    pub(crate) key: String,
    /// The type of a value: that of the field without `Option` and `Vec`.
    pub(crate) value: &'a Type,
    /// The number of `Option`s and `Vec`s around the value.
    depth: usize,
}

impl<'a> Tag<'a> {
    pub(crate) fn new(key: String, field: &'a Type) -> Self {
        let (mut value, mut depth) = (field, 0);
        while let Some(inner) = element(value) {
            (value, depth) = (inner, depth + 1);
        }
        Tag { key, value, depth }
    }

    /// Returns the statement that adds the tags of a field to `tags`.
    pub(crate) fn add(&self, field: &Ident, private: &TokenStream) -> TokenStream {
        let (key, span) = (&self.key, self.value.span());
        let mut code = quote_spanned!(span=> #private::add_tag(&mut tags, #key, #field););
        for _ in 0..self.depth {
            code = quote!(for #field in #field.iter() { #code });
        }
        code
    }
}

/// Returns `T` of `Option<T>` and `Vec<T>`.
fn element(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|_| path.qself.is_none())?;
    if last.ident != "Option" && last.ident != "Vec" {
        return None;
    }
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) => match arguments.args.first()? {
            GenericArgument::Type(inner) if arguments.args.len() == 1 => Some(inner),
            _ => None,
        },
        _ => None,
    }
}
