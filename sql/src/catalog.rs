//! The topics of a log as the tables of one statement.
//!
//! ```text
//!   statement ─▶ Cut: every topic with its readable offsets, asked for once
//!                  └─▶ tailwater.public.<topic> ─▶ TopicTable, made when it is first named
//! ```
//! All tables of a statement come from its [`Cut`], so every scan in it, a self-join's two included, ends at the same
//! offsets, whatever is appended meanwhile. Topics of the system are not listed and can be named.

use crate::error::{Error, KnownTable, quoted};
use crate::schema::{Origin, SAMPLE_RECORDS, ValueSchema, value_schema};
use crate::topic_table::{Keep, TopicTable};
use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, SchemaProvider,
    TableProvider,
};
use datafusion::datasource::TableType;
use datafusion::error::DataFusionError;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tailwater_log::Log;
use tailwater_log::service::{DescribeTopics, TopicDescription};
use tailwater_log::types::TopicId;

pub(crate) const CATALOG: &str = "tailwater";
pub(crate) const SCHEMA: &str = "public";

/// Inferred schemas that more records cannot change, kept between statements.
#[derive(Debug, Default)]
pub(crate) struct SchemaCache(Mutex<HashMap<TopicId, Arc<ValueSchema>>>);

impl SchemaCache {
    async fn schema(&self, log: &Log, topic: &TopicDescription) -> Result<Arc<ValueSchema>, Error> {
        if topic.config.schema.is_none()
            && let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&topic.id)
        {
            return Ok(Arc::clone(known));
        }
        let schema = Arc::new(value_schema(log, topic).await?);
        if schema.origin == (Origin::Inferred { records: SAMPLE_RECORDS }) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.id, Arc::clone(&schema));
        }
        Ok(schema)
    }
}

/// Every topic and its offsets as of the start of one statement.
#[derive(Debug)]
pub(crate) struct Cut {
    log: Log,
    topics: BTreeMap<String, TopicDescription>,
    schemas: Arc<SchemaCache>,
    tables: Mutex<BTreeMap<String, Arc<TopicTable>>>,
}

impl Cut {
    pub(crate) async fn take(log: &Log, schemas: Arc<SchemaCache>) -> Result<Arc<Self>, Error> {
        let all = DescribeTopics { topics: None, include_internal: true };
        let topics = log.service().describe_topics(all).await?;
        let topics = topics.into_iter().map(|topic| (topic.name.to_string(), topic));
        Ok(Arc::new(Self { log: log.clone(), topics: topics.collect(), schemas, tables: Mutex::default() }))
    }

    /// The topics that are listed, by name.
    pub(crate) fn listed(&self) -> impl Iterator<Item = &TopicDescription> {
        self.topics.values().filter(|topic| !topic.name.is_internal())
    }

    /// The table of a topic; `None` when there is no such topic.
    pub(crate) async fn topic_table(&self, name: &str) -> Result<Option<Arc<TopicTable>>, Error> {
        let made = |tables: &Mutex<BTreeMap<_, Arc<TopicTable>>>| {
            tables.lock().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
        };
        if let Some(table) = made(&self.tables) {
            return Ok(Some(table));
        }
        let Some(topic) = self.topics.get(name) else { return Ok(None) };
        let value = self.schemas.schema(&self.log, topic).await?;
        let table = Arc::new(TopicTable::new(&self.log, topic, value, Keep::All));
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Arc::clone(&table));
        Ok(Some(table))
    }

    /// The tables that the statement has named so far.
    pub(crate) fn known_tables(&self) -> Vec<KnownTable> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tables.iter().map(|(name, table)| KnownTable {
            name: name.clone(),
            schema: table.schema(),
            origin: table.value_schema().origin.to_string(),
        });
        known.collect()
    }

    /// The names of all topics as one may have meant them.
    pub(crate) fn names(&self) -> Vec<String> {
        self.topics.keys().cloned().collect()
    }

    /// The catalog that DataFusion resolves names in.
    pub(crate) fn catalogs(self: &Arc<Self>) -> Arc<dyn CatalogProviderList> {
        let catalog = MemoryCatalogProvider::new();
        catalog
            .register_schema(SCHEMA, Arc::new(Topics(Arc::clone(self))))
            .expect("a memory catalog takes every schema");
        let list = MemoryCatalogProviderList::new();
        list.register_catalog(CATALOG.into(), Arc::new(catalog));
        Arc::new(list)
    }
}

/// The schema whose tables are the topics.
#[derive(Debug)]
struct Topics(Arc<Cut>);

#[async_trait]
impl SchemaProvider for Topics {
    fn table_names(&self) -> Vec<String> {
        self.0.listed().map(|topic| topic.name.to_string()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        match self.0.topic_table(name).await {
            Ok(table) => Ok(table.map(|t| t as Arc<dyn TableProvider>)),
            Err(error) => Err(DataFusionError::External(Box::new(error))),
        }
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>, DataFusionError> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.topics.contains_key(name)
    }
}

/// A topic as a list of tables shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// The topic's name.
    pub name: String,
    /// Its partitions.
    pub partitions: usize,
    /// Readable records: those between the log start offset and the high watermark.
    pub records: u64,
}

/// A topic's columns, for `\d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDescription {
    /// The topic's name.
    pub name: String,
    /// In order: those of the value, then the metadata columns.
    pub columns: Vec<ColumnInfo>,
    /// Where the value's columns come from.
    pub origin: Origin,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Its name as SQL writes it: in quotes if it needs them.
    pub name: String,
    /// Its SQL type, such as `BIGINT`.
    pub sql_type: String,
    /// Whether it may be NULL.
    pub nullable: bool,
}

impl TableDescription {
    pub(crate) fn new(name: &str, table: &TopicTable) -> Self {
        let schema = table.schema();
        let columns = schema.fields().iter().map(|field| ColumnInfo {
            name: quoted(field.name()),
            sql_type: crate::schema::sql_type(field.data_type()),
            nullable: field.is_nullable(),
        });
        Self { name: name.to_owned(), columns: columns.collect(), origin: table.value_schema().origin.clone() }
    }
}
