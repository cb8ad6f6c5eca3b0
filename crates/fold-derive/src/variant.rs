//! Generates the code of one variant.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Field, Fields, Ident, Path, Type, Variant};

use crate::attributes::{FieldAttributes, VariantAttributes};

/// A variant with its attributes.
pub(crate) struct EventVariant<'a> {
    ident: &'a Ident,
    shape: Shape<'a>,
    pub(crate) name: String,
    pub(crate) version: u16,
    upcasts: Vec<syn::Expr>,
    serde: Vec<&'a Attribute>,
    has_braces: bool,
}

/// The shape of the payload.
enum Shape<'a> {
    /// An empty object.
    Unit,
    /// The one field, as serde writes it.
    Whole(&'a Type),
    /// An object of the fields.
    Named(Vec<NamedField<'a>>),
}

struct NamedField<'a> {
    ident: &'a Ident,
    ty: &'a Type,
    serde: Vec<&'a Attribute>,
    tag: Option<String>,
}

impl NamedField<'_> {
    fn declared(&self) -> TokenStream {
        let (ident, ty, serde) = (self.ident, self.ty, &self.serde);
        quote!(#(#serde)* #ident: #ty)
    }
}

impl<'a> EventVariant<'a> {
    pub(crate) fn read(variant: &'a Variant) -> syn::Result<Self> {
        let attributes = VariantAttributes::read(&variant.attrs)?;
        let version =
            attributes.version.as_ref().map_or(Ok(1), |version| version.base10_parse())?;
        let name = attributes.name.as_ref().map_or(variant.ident.to_string(), syn::LitStr::value);
        if name.is_empty() {
            return Err(Error::new(attributes.name.span(), "an event type has a name"));
        }
        let needed = usize::from(version).saturating_sub(1);
        if version == 0 || attributes.upcasts.len() != needed {
            return Err(Error::new(
                variant.ident.span(),
                upcast_count_error(&name, version, &attributes),
            ));
        }
        let shape = Shape::read(variant)?;
        let has_braces = matches!(variant.fields, Fields::Named(_));
        let (ident, upcasts, serde) =
            (&variant.ident, attributes.upcasts, of_serde(&variant.attrs));
        Ok(EventVariant { ident, shape, name, version, upcasts, serde, has_braces })
    }

    pub(crate) fn ident(&self) -> &Ident {
        self.ident
    }

    /// Returns the pattern that matches the variant with any fields.
    pub(crate) fn pattern(&self) -> TokenStream {
        let ident = self.ident;
        quote!(Self::#ident { .. })
    }

    /// Returns the match arm that makes the tags.
    pub(crate) fn tags_arm(&self) -> TokenStream {
        let ident = self.ident;
        let tagged: Vec<_> = match &self.shape {
            Shape::Named(members) => members
                .iter()
                .filter_map(|member| Some((member.ident, member.tag.as_ref()?)))
                .collect(),
            Shape::Unit | Shape::Whole(_) => Vec::new(),
        };
        let fields = tagged.iter().map(|(field, _)| field);
        let pairs = tagged.iter().map(
            |(field, key)| quote!((#key.to_owned(), ::std::string::ToString::to_string(#field))),
        );
        quote!(Self::#ident { #(#fields,)* .. } => ::std::vec![#(#pairs),*],)
    }

    /// Returns the variant for serde's derive: its fields and its serde attributes.
    pub(crate) fn serde_variant(&self) -> TokenStream {
        let (ident, serde) = (self.ident, &self.serde);
        match &self.shape {
            Shape::Unit if self.has_braces => quote!(#ident {}),
            Shape::Unit => quote!(#ident),
            Shape::Whole(ty) => quote!(#(#serde)* #ident(#ty)),
            Shape::Named(members) => {
                let fields = members.iter().map(NamedField::declared);
                quote!(#(#serde)* #ident { #(#fields),* })
            }
        }
    }

    /// Returns whether it has no fields. Then its payload is an empty object.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.shape, Shape::Unit)
    }

    /// Returns the match arm that decodes the payload.
    pub(crate) fn decode_arm(&self, private: &TokenStream) -> TokenStream {
        let (ident, name) = (self.ident, &self.name);
        let upcasts =
            self.upcasts.iter().map(|upcast| quote!(&|old| #private::upcast(#upcast, old)));
        let version = self.version;
        let call = quote!(#private::decode(version, #version, data, &[#(#upcasts),*])?);
        let value = match &self.shape {
            Shape::Unit => quote! {{
                let _: #private::Anything = #call;
                Self::#ident {}
            }},
            Shape::Whole(ty) => quote!(Self::#ident({ let payload: #ty = #call; payload })),
            Shape::Named(members) => {
                let serde_crate = serde_crate(private);
                let names = members.iter().map(|member| member.ident);
                let fields = members.iter().map(NamedField::declared);
                let serde = &self.serde;
                quote! {{
                    #[derive(#private::serde::Deserialize)]
                    #[serde(crate = #serde_crate)]
                    #(#serde)*
                    struct Payload { #(#fields,)* }
                    let payload: Payload = #call;
                    Self::#ident { #(#names: payload.#names),* }
                }}
            }
        };
        quote!(#name => #value,)
    }

    /// Returns its entry in the list of kinds.
    pub(crate) fn kind_entry(&self, krate: &Path) -> TokenStream {
        let (name, version) = (&self.name, self.version);
        quote!(#krate::Kind { event_type: #name, version: #version })
    }
}

impl<'a> Shape<'a> {
    fn read(variant: &'a Variant) -> syn::Result<Self> {
        match &variant.fields {
            Fields::Unit => Ok(Shape::Unit),
            Fields::Unnamed(fields) => match fields.unnamed.first() {
                Some(field) if fields.unnamed.len() == 1 => whole(field),
                _ => Err(Error::new(
                    fields.span(),
                    "the payload of an event is an object: name the fields, `{ cents: u64 }`, or \
                     wrap one struct",
                )),
            },
            Fields::Named(fields) if fields.named.is_empty() => Ok(Shape::Unit),
            Fields::Named(fields) => {
                Ok(Shape::Named(fields.named.iter().map(member).collect::<syn::Result<_>>()?))
            }
        }
    }
}

fn whole(field: &Field) -> syn::Result<Shape<'_>> {
    match FieldAttributes::read(&field.attrs)?.tag {
        None => Ok(Shape::Whole(&field.ty)),
        Some(_) => Err(Error::new(field.span(), "only a named field can be a tag")),
    }
}

fn member(field: &Field) -> syn::Result<NamedField<'_>> {
    let Some(ident) = &field.ident else {
        return Err(Error::new(field.span(), "the fields of an event have names"));
    };
    let tag = FieldAttributes::read(&field.attrs)?.tag;
    let tag = tag.map(|key| key.map_or(ident.to_string(), |key| key.value()));
    Ok(NamedField { ident, ty: &field.ty, serde: of_serde(&field.attrs), tag })
}

fn of_serde(attributes: &[Attribute]) -> Vec<&Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("serde")).collect()
}

/// Returns the path of serde for users that do not depend on serde themselves.
pub(crate) fn serde_crate(private: &TokenStream) -> String {
    format!("{private}::serde").replace(' ', "")
}

fn upcast_count_error(name: &str, version: u16, attributes: &VariantAttributes) -> String {
    match version {
        0 => format!("{name}: versions are counted from 1"),
        _ => format!(
            "{name} is at version {version}, so `upcast(...)` must list {} function(s), one from \
             each version to the next; it lists {}",
            version - 1,
            attributes.upcasts.len(),
        ),
    }
}
