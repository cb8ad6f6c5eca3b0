//! Finds out which store the files are of, and what its newest manifest says.

use super::finding::{FoundFiles, FoundManifest, UNPLACED};
use crate::create::{STORE, unusable};
use crate::error::OpenError;
use crate::format::{StoreHeader, StoreIdentity};
use crate::manifest::{LiveFile, MANIFEST};
use crate::term::Term;

/// The identity of a store, and its list of files as far as one is found.
pub(super) struct FoundStore {
    pub(super) identity: StoreIdentity,
    /// The files that a manifest names; none if there is no manifest.
    pub(super) named: Vec<LiveFile>,
    /// The term of the writer of the open segment, as far as a manifest tells.
    pub(super) term: Term,
    pub(super) sequence: u64,
    /// Sentences on what has to be made again.
    pub(super) faults: Vec<String>,
}

/// Finds the identity and the manifest. Fails if the files don't tell, or not of one store.
pub(super) fn identify(found: &FoundFiles) -> Result<FoundStore, OpenError> {
    let mut faults = Vec::new();
    for (name, why) in &found.faults {
        faults.push(format!("{name} is made again: {why}"));
    }
    let mut identity = find_identity(found)?;
    refuse_foreign(found, &identity.header)?;
    let manifest = find_manifest(found, identity.header.store_id);
    match manifest {
        None if !found.faults.iter().any(|(name, _)| *name == MANIFEST) => {
            faults.push(format!("{MANIFEST} is made again: it belongs to another store"));
        }
        Some(manifest) if !is_incarnation_known(&identity, manifest.header.incarnation) => {
            faults.push(format!("{STORE} is made again: {MANIFEST} is of a later incarnation"));
            // What the two have in common is not known, so no cursor of the earlier one is good.
            identity = identity.of_incarnation(manifest.header.incarnation, 0);
        }
        _ => {}
    }
    let sequence = manifest.map_or(0, |manifest| manifest.header.sequence.get());
    let named = manifest.map(|manifest| manifest.files.clone()).unwrap_or_default();
    let term = manifest.map_or_else(Term::default, |manifest| manifest.term);
    Ok(FoundStore { identity, named, term, sequence, faults })
}

fn find_identity(found: &FoundFiles) -> Result<StoreIdentity, OpenError> {
    let mut identities = found.identities.iter();
    let own = identities.clone().find(|(name, _)| name == STORE);
    if let Some((_, identity)) = own.or_else(|| identities.next()) {
        return Ok(identity.clone());
    }
    // The manifest knows as much of it as positions and cursors need.
    let with_key = |manifest: &&FoundManifest| manifest.header.hash_key != [0; 16];
    let mut manifests = found.manifests.iter().filter(with_key);
    let own = manifests.clone().find(|manifest| manifest.name == MANIFEST);
    let Some(manifest) = own.or_else(|| manifests.next()) else {
        let why = "it is lost, and no manifest has the key of its hashes: take the file from a backup \
                   of the store, where it is STORE.N";
        return Err(unusable(STORE, why));
    };
    let [id, key] = [manifest.header.store_id, manifest.header.hash_key].map(u128::from_le_bytes);
    let mut incarnation = [0; 16];
    incarnation[..4].copy_from_slice(&manifest.header.incarnation);
    Ok(StoreIdentity::new(StoreHeader::new(id, u128::from_le_bytes(incarnation), key, 0)))
}

/// Refuses segments of which none belongs to the store: then `STORE` is the wrong one.
fn refuse_foreign(found: &FoundFiles, header: &StoreHeader) -> Result<(), OpenError> {
    let ids = found.segments.iter().filter_map(|segment| segment.header.as_ref());
    let mut ids = ids.map(|header| header.store_id).peekable();
    match ids.peek().is_some() && ids.all(|id| id != header.store_id) {
        true => Err(OpenError::Ambiguous(format!("{STORE} is of another store than all segments"))),
        false => Ok(()),
    }
}

/// Finds the newest list of files that was in place, under whatever name. One that was never put in place
/// says what the log was about to become: it may have gone on differently since.
fn find_manifest(found: &FoundFiles, store_id: [u8; 16]) -> Option<&FoundManifest> {
    let of_store = |manifest: &&FoundManifest| {
        manifest.header.store_id == store_id && !UNPLACED.contains(&&*manifest.name)
    };
    let manifests = found.manifests.iter().filter(of_store);
    let own = manifests.clone().find(|manifest| manifest.name == MANIFEST);
    own.or_else(|| manifests.max_by_key(|manifest| manifest.header.sequence.get()))
}

/// Whether the first bytes of an incarnation are of this one or of an earlier one. Manifests of earlier
/// releases have zeros.
fn is_incarnation_known(identity: &StoreIdentity, first_bytes: [u8; 4]) -> bool {
    let starts = |incarnation: &[u8; 16]| incarnation.starts_with(&first_bytes);
    let mut ancestors = identity.ancestors().iter();
    first_bytes == [0; 4]
        || starts(&identity.header.incarnation)
        || ancestors.any(|ancestor| starts(&ancestor.incarnation))
}
