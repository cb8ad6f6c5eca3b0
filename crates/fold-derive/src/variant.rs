//! One variant, as it is written and as it is read.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Field, Fields, Ident, Path, Type, Variant};

use crate::attributes::{OnField, OnVariant};

/// A variant and what was said of it.
pub(crate) struct Kind<'a> {
    ident: &'a Ident,
    shape: Shape<'a>,
    pub(crate) name: String,
    pub(crate) version: u16,
    upcasts: Vec<syn::Expr>,
    serde: Vec<&'a Attribute>,
    has_braces: bool,
}

/// What the payload is.
enum Shape<'a> {
    /// An empty object.
    Unit,
    /// What the one field is written as.
    Whole(&'a Type),
    /// An object of the fields.
    Named(Vec<Member<'a>>),
}

struct Member<'a> {
    ident: &'a Ident,
    ty: &'a Type,
    serde: Vec<&'a Attribute>,
    tag: Option<String>,
}

impl Member<'_> {
    fn declared(&self) -> TokenStream {
        let (ident, ty, serde) = (self.ident, self.ty, &self.serde);
        quote!(#(#serde)* #ident: #ty)
    }
}

impl<'a> Kind<'a> {
    pub(crate) fn read(variant: &'a Variant) -> syn::Result<Self> {
        let said = OnVariant::read(&variant.attrs)?;
        let version = said.version.as_ref().map_or(Ok(1), |version| version.base10_parse())?;
        let name = said.name.as_ref().map_or(variant.ident.to_string(), syn::LitStr::value);
        if name.is_empty() {
            return Err(Error::new(said.name.span(), "an event type has a name"));
        }
        let needed = usize::from(version).saturating_sub(1);
        if version == 0 || said.upcasts.len() != needed {
            return Err(Error::new(variant.ident.span(), count_of_upcasts(&name, version, &said)));
        }
        let shape = Shape::read(variant)?;
        let has_braces = matches!(variant.fields, Fields::Named(_));
        let (ident, upcasts, serde) = (&variant.ident, said.upcasts, of_serde(&variant.attrs));
        Ok(Kind { ident, shape, name, version, upcasts, serde, has_braces })
    }

    pub(crate) fn ident(&self) -> &Ident {
        self.ident
    }

    /// The pattern that matches the variant, whatever it holds.
    pub(crate) fn any(&self) -> TokenStream {
        let ident = self.ident;
        quote!(Self::#ident { .. })
    }

    /// An arm that gives the tags.
    pub(crate) fn tags(&self) -> TokenStream {
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

    /// The variant as serde is to write it: what it holds, and what was said to serde about it.
    pub(crate) fn written(&self) -> TokenStream {
        let (ident, serde) = (self.ident, &self.serde);
        match &self.shape {
            Shape::Unit if self.has_braces => quote!(#ident {}),
            Shape::Unit => quote!(#ident),
            Shape::Whole(ty) => quote!(#(#serde)* #ident(#ty)),
            Shape::Named(members) => {
                let fields = members.iter().map(Member::declared);
                quote!(#(#serde)* #ident { #(#fields),* })
            }
        }
    }

    /// Whether it holds nothing. Its payload is an empty object then.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.shape, Shape::Unit)
    }

    /// An arm that reads the payload.
    pub(crate) fn decode(&self, private: &TokenStream) -> TokenStream {
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
                let fields = members.iter().map(Member::declared);
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

    /// What the list of kinds says of it.
    pub(crate) fn listed(&self, krate: &Path) -> TokenStream {
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
    match OnField::read(&field.attrs)?.tag {
        None => Ok(Shape::Whole(&field.ty)),
        Some(_) => Err(Error::new(field.span(), "only a named field can be a tag")),
    }
}

fn member(field: &Field) -> syn::Result<Member<'_>> {
    let Some(ident) = &field.ident else {
        return Err(Error::new(field.span(), "the fields of an event have names"));
    };
    let tag = OnField::read(&field.attrs)?.tag;
    let tag = tag.map(|key| key.map_or(ident.to_string(), |key| key.value()));
    Ok(Member { ident, ty: &field.ty, serde: of_serde(&field.attrs), tag })
}

fn of_serde(attributes: &[Attribute]) -> Vec<&Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("serde")).collect()
}

/// Where serde is for whoever has not named it as a dependency.
pub(crate) fn serde_crate(private: &TokenStream) -> String {
    format!("{private}::serde").replace(' ', "")
}

fn count_of_upcasts(name: &str, version: u16, said: &OnVariant) -> String {
    match version {
        0 => format!("{name}: versions are counted from 1"),
        _ => format!(
            "{name} is at version {version}, so `upcast(...)` must list {} function(s), one from \
             each version to the next; it lists {}",
            version - 1,
            said.upcasts.len(),
        ),
    }
}
