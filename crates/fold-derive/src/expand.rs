//! Generates the implementation of `Event` for an enum.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error};

use crate::attributes::{EnumAttributes, check_name};
use crate::queries;
use crate::serde_rules::{self, of_serde};
use crate::variant::{EventVariant, serde_crate};

const ENUMS_ONLY: &str = "an event type is a variant of an enum: write `enum Bank { Opened { .. } }`; \
                          all events that belong together are one enum";

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(input.ident.span(), ENUMS_ONLY));
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new(
            input.generics.span(),
            "an enum of events has no parameters: what is stored has one shape",
        ));
    }
    if data.variants.is_empty() {
        return Err(Error::new(input.ident.span(), "an enum of events has at least one variant"));
    }
    let attributes = EnumAttributes::read(&input.attrs)?;
    let krate = &attributes.krate;
    attributes.prefix.as_ref().map_or(Ok(()), |prefix| check_name(prefix, "a prefix"))?;
    let prefix = attributes.prefix.as_ref().map(syn::LitStr::value).unwrap_or_default();
    let rename = serde_rules::read_enum(&input.attrs)?;
    let kinds = data.variants.iter().map(|variant| EventVariant::read(variant, &prefix));
    let kinds = kinds.collect::<syn::Result<Vec<_>>>()?;
    check_names(&kinds)?;
    let functions = queries::functions(input, &attributes, &kinds)?;

    let ident = &input.ident;
    let private = quote!(#krate::__private);
    let listed = kinds.iter().map(|kind| kind.kind_entry(krate));
    let any = kinds.iter().map(EventVariant::pattern);
    let at = 0..kinds.len();
    let tags = tags_body(&kinds, &private);
    let rename_all_fields = of_serde(&input.attrs);
    let (name, serde_crate) = (ident.to_string(), serde_crate(&private));
    let written = kinds.iter().map(EventVariant::serde_variant);
    let empty = kinds.iter().filter(|kind| kind.is_empty()).map(EventVariant::pattern);
    let decode = kinds.iter().map(|kind| kind.decode_arm(&private, rename.as_ref()));
    Ok(quote! {
        #functions

        #[automatically_derived]
        impl #krate::Event for #ident {
            const KINDS: &'static [#krate::Kind] = &[#(#listed),*];

            fn kind(&self) -> &'static #krate::Kind {
                match self { #(#any => &Self::KINDS[#at],)* }
            }

            fn tags(&self) -> ::std::vec::Vec<(::std::string::String, ::std::string::String)> {
                #tags
            }

            fn encode(&self) -> ::std::result::Result<#krate::Payload<'static>, #krate::Unencodable> {
                #[derive(#private::serde::Serialize)]
                #[serde(crate = #serde_crate, remote = #name, untagged)]
                #(#rename_all_fields)*
                enum Payload { #(#written,)* }

                struct PayloadRef<'event>(&'event #ident);

                impl #private::serde::Serialize for PayloadRef<'_> {
                    fn serialize<S: #private::serde::Serializer>(
                        &self,
                        serializer: S,
                    ) -> ::std::result::Result<S::Ok, S::Error> {
                        Payload::serialize(self.0, serializer)
                    }
                }

                match self {
                    #(#empty => ::std::result::Result::Ok(#krate::Payload::json(&b"{}"[..])),)*
                    event => #private::encode(&PayloadRef(event)),
                }
            }

            fn decode(
                event_type: &str,
                version: u16,
                payload: &#krate::Payload<'_>,
            ) -> ::std::result::Result<::std::option::Option<Self>, #krate::WrongShape> {
                ::std::result::Result::Ok(::std::option::Option::Some(match event_type {
                    #(#decode)*
                    _ => return ::std::result::Result::Ok(::std::option::Option::None),
                }))
            }
        }
    })
}

/// Returns the body of `tags`.
fn tags_body(kinds: &[EventVariant<'_>], private: &TokenStream) -> TokenStream {
    if kinds.iter().all(|kind| kind.tags().next().is_none()) {
        return quote!(::std::vec::Vec::new());
    }
    let arms = kinds.iter().map(|kind| kind.tags_arm(private));
    quote! {
        let mut tags = ::std::vec::Vec::new();
        match self { #(#arms)* }
        tags
    }
}

fn check_names(kinds: &[EventVariant<'_>]) -> syn::Result<()> {
    let mut names = HashSet::new();
    for kind in kinds {
        if !names.insert(&kind.name) {
            let message = format!("two variants are named {:?}", kind.name);
            return Err(Error::new(kind.ident().span(), message));
        }
    }
    Ok(())
}
