//! Generates the functions of an enum that make its queries and name its streams.

use std::collections::HashMap;

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, Ident, Type};

use crate::attributes::EnumAttributes;
use crate::tags::Tag;
use crate::variant::EventVariant;

/// A tag and the event types that have it.
struct TaggedTypes<'a> {
    key: &'a str,
    types: Vec<&'a str>,
    values: Vec<&'a Type>,
    variant: &'a Ident,
}

pub(crate) fn functions(
    input: &DeriveInput,
    attributes: &EnumAttributes,
    variants: &[EventVariant<'_>],
) -> syn::Result<TokenStream> {
    let (ident, vis, krate) = (&input.ident, &input.vis, &attributes.krate);
    let query = quote!(#krate::EventQuery<Self>);
    let private = quote!(#krate::__private);
    let tagged = tagged_types(variants);
    check_names(variants, &tagged)?;
    let of_types = variants.iter().map(|variant| {
        let (name, event_type) = (of_name(variant.ident()), &variant.name);
        let doc = format!("Selects the events of type `{event_type}`.");
        quote!(#[doc = #doc] #vis fn #name() -> #query { #private::select_types(&[#event_type]) })
    });
    let by_tags = tagged.iter().map(|tag| {
        let (name, parameter) = (by_name(tag.key), tag.parameter());
        let (key, types) = (tag.key, &tag.types);
        let listed: Vec<_> = types.iter().map(|name| format!("`{name}`")).collect();
        let doc = format!("Selects the events with this `{key}` tag: {}.", listed.join(", "));
        // A type without `Display` is reported where the tag is declared.
        let span = tag.values.first().map_or(ident.span(), |value| value.span());
        let call = quote_spanned!(span=> #private::select_tagged(&[#(#types),*], #key, &value));
        quote! {
            #[doc = #doc]
            #vis fn #name(value: #parameter) -> #query { #call }
        }
    });
    let stream = attributes.category.as_ref().map(|category| {
        let doc =
            format!("Returns the name of a stream of these events, `{}-ID`.", category.value());
        quote! {
            #[doc = #doc]
            #vis fn stream(id: impl ::std::fmt::Display) -> ::std::string::String {
                ::std::format!("{}-{}", #category, id)
            }
        }
    });
    let doc = format!("Selects all events of [`{}`].", ident.unraw());
    Ok(quote! {
        #[automatically_derived]
        #[allow(dead_code, private_interfaces, reason = "a program need not call all of them")]
        impl #ident {
            #[doc = #doc]
            #vis fn query() -> #query { #krate::EventQuery::all() }

            #(#of_types)*

            #(#by_tags)*

            #stream
        }
    })
}

impl TaggedTypes<'_> {
    /// Returns the type of the parameter: that of the tagged fields if all have the same.
    fn parameter(&self) -> TokenStream {
        let text = |ty: &Type| quote!(#ty).to_string();
        let mut values = self.values.iter();
        let first = values.next().map(|first| text(first)).unwrap_or_default();
        match self.values.first() {
            Some(same) if values.all(|other| text(other) == first) => match &*first {
                "String" | "std :: string :: String" | "& 'static str" => quote!(&str),
                _ => quote!(&#same),
            },
            _ => quote!(impl ::std::fmt::Display),
        }
    }
}

/// Returns the tags in the order in which they are first declared.
fn tagged_types<'a>(variants: &'a [EventVariant<'_>]) -> Vec<TaggedTypes<'a>> {
    let mut found: Vec<TaggedTypes<'a>> = Vec::new();
    for variant in variants {
        for Tag { key, value, .. } in variant.tags() {
            let at = found.iter().position(|tag| tag.key == key).unwrap_or_else(|| {
                let variant = variant.ident();
                found.push(TaggedTypes { key, types: vec![], values: vec![], variant });
                found.len() - 1
            });
            let Some(tag) = found.get_mut(at) else { continue };
            if tag.types.last() != Some(&&*variant.name) {
                tag.types.push(&variant.name);
            }
            tag.values.push(value);
        }
    }
    found
}

fn of_name(variant: &Ident) -> Ident {
    format_ident!("of_{}", snake(&variant.unraw().to_string()), span = variant.span())
}

fn by_name(key: &str) -> Ident {
    format_ident!("by_{}", snake(key))
}

/// Refuses two variants or two tags whose functions would have one name.
fn check_names(variants: &[EventVariant<'_>], tags: &[TaggedTypes<'_>]) -> syn::Result<()> {
    let mut names = HashMap::new();
    let of = variants.iter().map(|variant| {
        (of_name(variant.ident()), variant.ident(), variant.ident().unraw().to_string())
    });
    let by = tags.iter().map(|tag| (by_name(tag.key), tag.variant, tag.key.to_owned()));
    for (function, place, what) in of.chain(by) {
        if let Some(other) = names.insert(function.to_string(), what.clone()) {
            let message = format!(
                "the functions that select `{other}` and `{what}` would both be `{function}`: rename \
                 one of them"
            );
            return Err(Error::new(place.span(), message));
        }
    }
    Ok(())
}

/// Returns a name in snake case; characters that identifiers do not have become `_`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    let chars: Vec<char> = name.chars().collect();
    for (at, c) in chars.iter().copied().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let next_is_lower = chars.get(at + 1).is_some_and(|next| next.is_lowercase());
        let starts_word = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_numeric()
                    || (before.is_uppercase() && next_is_lower)
            });
        if starts_word {
            snake.push('_');
        }
        match c.is_ascii_alphanumeric() || (c.is_alphanumeric() && !c.is_numeric()) {
            true => snake.extend(c.to_lowercase()),
            false => snake.push('_'),
        }
    }
    snake
}
