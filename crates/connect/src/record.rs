//! The values of one record, field by field, in one reused buffer.

/// The text of each field that has a value.
#[derive(Debug, Default)]
pub(crate) struct Values {
    text: String,
    spans: Vec<Option<(usize, usize)>>,
}

impl Values {
    pub(crate) fn new(fields: usize) -> Values {
        Values { text: String::new(), spans: vec![None; fields] }
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.spans.fill(None);
    }

    #[inline]
    pub(crate) fn get(&self, field: usize) -> Option<&str> {
        let (start, end) = self.spans.get(field).copied().flatten()?;
        self.text.get(start..end)
    }

    /// Removes the text of a field.
    pub(crate) fn remove(&mut self, field: usize) {
        self.spans[field] = None;
    }

    #[inline]
    pub(crate) fn put(&mut self, field: usize, text: &str) {
        self.write(field, |out| out.push_str(text));
    }

    /// Sets `field` to the text that `write` appends.
    #[inline]
    pub(crate) fn write(&mut self, field: usize, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write(&mut self.text);
        self.spans[field] = Some((start, self.text.len()));
    }
}
