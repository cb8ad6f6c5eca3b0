//! The columns of files: their schema, and the values of an event.

use std::sync::Arc;

use leftfold_api::Recorded;
use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::schema::types::{Type, TypePtr};

use super::buffer::ColumnBuffer;
use super::event;
use crate::connectors::export::column_type::ColumnType;
use crate::connectors::export::columns::Columns;
use crate::connectors::export::row::Row;
use crate::connectors::template::EventFields;

/// A column.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) column_type: ColumnType,
    pub(super) presence: Presence,
}

/// Whether each row has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
}

/// The columns of files.
pub(in crate::connectors::export) struct Layout {
    fields: Vec<Field>,
    /// `None` for the whole event.
    columns: Option<Columns>,
}

impl Layout {
    /// Makes the layout of columns; of the whole event if there are none.
    pub(in crate::connectors::export) fn new(columns: Option<Columns>) -> Self {
        let fields = match &columns {
            None => event::fields(),
            Some(columns) => columns
                .types()
                .map(|(name, column_type)| Field {
                    name: name.to_owned(),
                    column_type,
                    presence: Presence::Optional,
                })
                .collect(),
        };
        Layout { fields, columns }
    }

    /// Returns the row of an event. The error says which column has no value, or another one than its type allows.
    pub(in crate::connectors::export) fn row(&self, event: &Recorded) -> Result<Row, String> {
        let cells = match &self.columns {
            None => event::cells(event),
            Some(columns) => columns.cells(&EventFields::new(event)),
        };
        cells.map(Row::Cells)
    }

    pub(super) fn schema(&self) -> Result<TypePtr, ParquetError> {
        let fields = self.fields.iter().map(|field| field.schema().map(Arc::new));
        let fields = fields.collect::<Result<_, _>>()?;
        Type::group_type_builder("event").with_fields(fields).build().map(Arc::new)
    }

    pub(super) fn buffers(&self) -> Vec<ColumnBuffer> {
        self.fields.iter().map(ColumnBuffer::new).collect()
    }
}

impl Field {
    fn schema(&self) -> Result<Type, ParquetError> {
        let repetition = match self.presence {
            Presence::Required => Repetition::REQUIRED,
            Presence::Optional => Repetition::OPTIONAL,
        };
        let primitive = |physical, logical| {
            Type::primitive_type_builder(&self.name, physical)
                .with_repetition(repetition)
                .with_logical_type(logical)
                .build()
        };
        match self.column_type {
            ColumnType::String => primitive(PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
            ColumnType::Json => primitive(PhysicalType::BYTE_ARRAY, Some(LogicalType::Json)),
            ColumnType::Bytes => primitive(PhysicalType::BYTE_ARRAY, None),
            ColumnType::Int64 => primitive(PhysicalType::INT64, None),
            ColumnType::Double => primitive(PhysicalType::DOUBLE, None),
            ColumnType::Bool => primitive(PhysicalType::BOOLEAN, None),
            ColumnType::Timestamp => {
                let time = LogicalType::timestamp(true, TimeUnit::MICROS);
                primitive(PhysicalType::INT64, Some(time))
            }
            ColumnType::Strings => strings(&self.name, repetition),
        }
    }
}

/// Returns the type of a list as Parquet's rules of compatibility want it: `name (LIST) { list* { element } }`.
fn strings(name: &str, repetition: Repetition) -> Result<Type, ParquetError> {
    let element = Type::primitive_type_builder("element", PhysicalType::BYTE_ARRAY)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::String))
        .build()?;
    let list = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![Arc::new(element)])
        .build()?;
    Type::group_type_builder(name)
        .with_repetition(repetition)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(list)])
        .build()
}
