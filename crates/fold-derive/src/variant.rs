//! Generates the code of one variant.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Field, Fields, Ident, Path, Type, Variant};

use crate::attributes::{FieldAttributes, VariantAttributes, check_name};
use crate::serde_rules::{self, RenameRule, of_serde};
use crate::tags::Tag;

/// A variant with its attributes.
pub(crate) struct EventVariant<'a> {
    ident: &'a Ident,
    shape: Shape<'a>,
    pub(crate) name: String,
    pub(crate) version: u16,
    upcasts: Vec<syn::Expr>,
    /// How serde renames the fields, if the variant says so.
    rename: Option<RenameRule>,
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
    tag: Option<Tag<'a>>,
}

impl NamedField<'_> {
    fn declared(&self) -> TokenStream {
        let (ident, ty, serde) = (self.ident, self.ty, &self.serde);
        quote!(#(#serde)* #ident: #ty)
    }
}

impl<'a> EventVariant<'a> {
    /// Reads a variant; all event types of the enum begin with the prefix.
    pub(crate) fn read(variant: &'a Variant, prefix: &str) -> syn::Result<Self> {
        let attributes = VariantAttributes::read(&variant.attrs)?;
        let version =
            attributes.version.as_ref().map_or(Ok(1), |version| version.base10_parse())?;
        if let Some(name) = &attributes.name {
            check_name(name, "an event type")?;
        }
        let own = variant.ident.unraw().to_string();
        let name = prefix.to_owned() + &attributes.name.as_ref().map_or(own, syn::LitStr::value);
        let needed = usize::from(version).saturating_sub(1);
        if version == 0 || attributes.upcasts.len() != needed {
            return Err(Error::new(
                variant.ident.span(),
                upcast_count_error(&name, version, &attributes),
            ));
        }
        let shape = Shape::read(variant)?;
        let has_braces = matches!(variant.fields, Fields::Named(_));
        let is_named = matches!(shape, Shape::Named(_));
        let rename = serde_rules::read_variant(&variant.attrs, is_named)?;
        let (ident, upcasts) = (&variant.ident, attributes.upcasts);
        Ok(EventVariant { ident, shape, name, version, upcasts, rename, has_braces })
    }

    pub(crate) fn ident(&self) -> &Ident {
        self.ident
    }

    /// Returns the pattern that matches the variant with any fields.
    pub(crate) fn pattern(&self) -> TokenStream {
        let ident = self.ident;
        quote!(Self::#ident { .. })
    }

    /// Returns its tags, in the order of the fields.
    pub(crate) fn tags(&self) -> impl Iterator<Item = &Tag<'a>> {
        self.tagged_fields().map(|(_, tag)| tag)
    }

    fn tagged_fields(&self) -> impl Iterator<Item = (&'a Ident, &Tag<'a>)> {
        let fields = match &self.shape {
            Shape::Named(fields) => &fields[..],
            Shape::Unit | Shape::Whole(_) => &[],
        };
        fields.iter().filter_map(|field| Some((field.ident, field.tag.as_ref()?)))
    }

    /// Returns the match arm that adds the tags to `tags`.
    pub(crate) fn tags_arm(&self, private: &TokenStream) -> TokenStream {
        let ident = self.ident;
        let fields = self.tagged_fields().map(|(field, _)| field);
        let added = self.tagged_fields().map(|(field, tag)| tag.add(field, private));
        quote!(Self::#ident { #(#fields,)* .. } => { #(#added)* })
    }

    /// Returns the variant for serde's derive: its fields and its serde attributes.
    pub(crate) fn serde_variant(&self) -> TokenStream {
        let ident = self.ident;
        match &self.shape {
            Shape::Unit if self.has_braces => quote!(#ident {}),
            Shape::Unit => quote!(#ident),
            Shape::Whole(ty) => quote!(#ident(#ty)),
            Shape::Named(members) => {
                let fields = members.iter().map(NamedField::declared);
                let rename = self.rename.as_ref().map(RenameRule::of_fields);
                quote!(#rename #ident { #(#fields),* })
            }
        }
    }

    /// Returns whether it has no fields. Then its payload is an empty object.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.shape, Shape::Unit)
    }

    /// Returns the match arm that decodes the payload. The enum may say how serde renames fields.
    pub(crate) fn decode_arm(
        &self,
        private: &TokenStream,
        rename: Option<&RenameRule>,
    ) -> TokenStream {
        let (ident, name) = (self.ident, &self.name);
        let upcasts =
            self.upcasts.iter().map(|upcast| quote!(&|old| #private::upcast(#upcast, old)));
        let version = self.version;
        let call = quote!(#private::decode(version, #version, payload, &[#(#upcasts),*])?);
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
                let rename = self.rename.as_ref().or(rename).map(RenameRule::of_fields);
                quote! {{
                    #[derive(#private::serde::Deserialize)]
                    #[serde(crate = #serde_crate)]
                    #rename
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
    serde_rules::refuse_on_whole(&field.attrs)?;
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
    let tag = tag.map(|key| key.map_or(ident.unraw().to_string(), |key| key.value()));
    let tag = tag.map(|key| Tag::new(key, &field.ty));
    Ok(NamedField { ident, ty: &field.ty, serde: of_serde(&field.attrs), tag })
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
