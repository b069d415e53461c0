//! The documents: an index in memory that forgets the oldest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tantivy::aggregation::agg_req::Aggregations;
use tantivy::aggregation::{AggContextParams, AggregationCollector, AggregationLimitsGuard};
use tantivy::collector::{Count, TopDocs};
use tantivy::query::{BooleanQuery, Query, QueryParser, RangeQuery, TermQuery};
use tantivy::schema::document::OwnedValue;
use tantivy::schema::{
    DateOptions, DateTimePrecision, FAST, Field, INDEXED, IndexRecordOption, JsonObjectOptions, STORED, STRING, Schema,
    TEXT, TextFieldIndexing, Value as _,
};
use tantivy::{DateTime, DocAddress, IndexReader, IndexWriter, Order, ReloadPolicy, Searcher, TantivyDocument, Term};

use crate::error::Error;
use crate::query::{Fields, TIMESTAMP, Translator, instant};
use crate::request::{SearchRequest, Sort};

/// How many documents are kept; older ones are forgotten.
pub const MAX_DOCUMENTS: u64 = 250_000;

/// How long a document may be there before it is found.
pub const REFRESH_EVERY: Duration = Duration::from_millis(500);

/// The writer's share of memory, in bytes; the least that the library takes.
const WRITER_MEMORY: usize = 15_000_000;

/// What one aggregation may take: bytes of memory, and buckets of its answer.
const MAX_AGGREGATION: (u64, u32) = (64 << 20, 10_000);

/// The fields beside those of a query.
#[derive(Debug, Clone, Copy)]
struct OwnFields {
    /// Counts documents, in the order in which they came.
    number: Field,
    index: Field,
    source: Field,
}

/// The index.
pub struct Index {
    fields: Fields,
    own: OwnFields,
    writer: Mutex<Writer>,
    reader: IndexReader,
    parser: QueryParser,
    next: AtomicU64,
    capacity: u64,
}

struct Writer {
    writer: IndexWriter,
    /// Whether something came that is not to be found yet.
    dirty: bool,
}

/// What a search found.
#[derive(Debug)]
pub struct Found {
    /// How many documents there are.
    pub total: usize,
    /// Those that were asked for: number, index and document.
    pub hits: Vec<(u64, String, Value)>,
    /// What the aggregations give, by their names.
    pub aggregations: Option<Value>,
}

impl Index {
    /// An empty index that keeps [`MAX_DOCUMENTS`].
    pub fn new() -> Result<Self, Error> {
        Self::with_capacity(MAX_DOCUMENTS)
    }

    /// An empty index that keeps so many documents.
    pub fn with_capacity(capacity: u64) -> Result<Self, Error> {
        let (schema, fields, own) = schema();
        let index = tantivy::Index::create_in_ram(schema);
        let writer = index.writer_with_num_threads(1, WRITER_MEMORY)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let mut parser = QueryParser::for_index(&index, vec![fields.words, fields.document]);
        parser.set_conjunction_by_default();
        let writer = Mutex::new(Writer { writer, dirty: false });
        Ok(Self { fields, own, writer, reader, parser, next: AtomicU64::new(0), capacity })
    }

    /// Adds a document and gives its number. One without a time gets that of now.
    pub(crate) fn add(&self, index: &str, document: Map<String, Value>, now: DateTime) -> Result<u64, Error> {
        let time = document.get(TIMESTAMP).map_or(Ok(now), instant)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut entry = TantivyDocument::new();
        entry.add_u64(self.own.number, number);
        entry.add_date(self.fields.timestamp, time);
        entry.add_text(self.own.index, index);
        entry.add_text(self.fields.words, words(&document));
        entry.add_text(self.own.source, Value::Object(document.clone()).to_string());
        let by_path = document.into_iter().filter(|(name, _)| name != TIMESTAMP);
        entry.add_object(self.fields.document, by_path.map(|(name, value)| (name, OwnedValue::from(value))).collect());
        let mut writer = self.writer();
        writer.writer.add_document(entry)?;
        writer.dirty = true;
        Ok(number)
    }

    /// Lets what came be found, and forgets the oldest of too many. Cheap when nothing came.
    pub fn refresh(&self) -> Result<(), Error> {
        let mut writer = self.writer();
        if !writer.dirty {
            return Ok(());
        }
        let oldest = self.next.load(Ordering::Relaxed).saturating_sub(self.capacity);
        if oldest > 0 {
            let end = std::ops::Bound::Excluded(Term::from_field_u64(self.own.number, oldest));
            writer.writer.delete_query(Box::new(RangeQuery::new(std::ops::Bound::Unbounded, end)))?;
        }
        writer.writer.commit()?;
        writer.dirty = false;
        self.reader.reload()?;
        Ok(())
    }

    /// Searches what was there at the last refresh.
    pub fn search(&self, request: &SearchRequest) -> Result<Found, Error> {
        let mut query = Translator { fields: self.fields, parser: &self.parser }.query(&request.query)?;
        if let Some(name) = &request.index {
            let term = Term::from_field_text(self.own.index, name);
            let of_index: Box<dyn Query> = Box::new(TermQuery::new(term, IndexRecordOption::Basic));
            query = Box::new(BooleanQuery::intersection(vec![of_index, query]));
        }
        let searcher = self.reader.searcher();
        let total = searcher.search(&query, &Count)?;
        let aggregations = match &request.aggregations {
            None => None,
            Some(wanted) => Some(aggregate(&searcher, &query, wanted)?),
        };
        let mut hits = Vec::new();
        if request.size > 0 {
            for address in ranked(&searcher, &query, request)? {
                hits.push(self.hit(&searcher.doc(address)?));
            }
        }
        Ok(Found { total, hits, aggregations })
    }

    fn hit(&self, entry: &TantivyDocument) -> (u64, String, Value) {
        let text = |field| entry.get_first(field).and_then(|value| value.as_str()).unwrap_or_default();
        let number = entry.get_first(self.own.number).and_then(|value| value.as_u64()).unwrap_or_default();
        // It was written by us.
        let source = serde_json::from_str(text(self.own.source)).unwrap_or_default();
        (number, text(self.own.index).to_owned(), source)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn schema() -> (Schema, Fields, OwnFields) {
    let mut builder = Schema::builder();
    // Exact values by path; the words of all of them are in a field of their own.
    let exact = TextFieldIndexing::default().set_tokenizer("raw").set_index_option(IndexRecordOption::Basic);
    let by_path = JsonObjectOptions::default().set_indexing_options(exact).set_fast("raw").set_expand_dots_enabled();
    let time = DateOptions::from(INDEXED | FAST).set_precision(DateTimePrecision::Milliseconds);
    let fields = Fields {
        timestamp: builder.add_date_field(TIMESTAMP, time),
        document: builder.add_json_field("document", by_path),
        words: builder.add_text_field("words", TEXT),
    };
    let own = OwnFields {
        number: builder.add_u64_field("_number", INDEXED | FAST | STORED),
        index: builder.add_text_field("_index", STRING | STORED),
        source: builder.add_text_field("_source", STORED),
    };
    (builder.build(), fields, own)
}

/// All values of a document as text, for searches that name no field.
fn words(document: &Map<String, Value>) -> String {
    let mut text = String::new();
    let mut left: Vec<&Value> = document.values().collect();
    while let Some(value) = left.pop() {
        match value {
            Value::String(value) => text.push_str(value),
            Value::Array(list) => left.extend(list),
            Value::Object(object) => left.extend(object.values()),
            Value::Null => {}
            other => text.push_str(&other.to_string()),
        }
        text.push(' ');
    }
    text
}

fn ranked(searcher: &Searcher, query: &dyn Query, request: &SearchRequest) -> Result<Vec<DocAddress>, Error> {
    let top = TopDocs::with_limit(request.size).and_offset(request.from);
    let by_time = |order| top.order_by_fast_field::<DateTime>(TIMESTAMP, order);
    let top = TopDocs::with_limit(request.size).and_offset(request.from);
    Ok(match request.sort {
        Sort::Score => searcher.search(query, &top.order_by_score())?.into_iter().map(|(_, at)| at).collect(),
        Sort::Newest => searcher.search(query, &by_time(Order::Desc))?.into_iter().map(|(_, at)| at).collect(),
        Sort::Oldest => searcher.search(query, &by_time(Order::Asc))?.into_iter().map(|(_, at)| at).collect(),
    })
}

/// The library speaks Elasticsearch's aggregations itself; only the names of fields differ.
fn aggregate(searcher: &Searcher, query: &dyn Query, wanted: &Value) -> Result<Value, Error> {
    let mut wanted = wanted.clone();
    address_fields(&mut wanted);
    let broken = |error: serde_json::Error| Error::request("aggregation", error.to_string());
    let wanted: Aggregations = serde_json::from_value(wanted).map_err(broken)?;
    let (memory, buckets) = MAX_AGGREGATION;
    let limits = AggregationLimitsGuard::new(Some(memory), Some(buckets));
    let parameters = AggContextParams::new(limits, searcher.index().tokenizers().clone());
    let result = searcher.search(query, &AggregationCollector::from_aggs(wanted, parameters));
    let result = result.map_err(|error| Error::request("aggregation", error.to_string()))?;
    serde_json::to_value(result).map_err(broken)
}

/// A field of the document is below `document` here.
fn address_fields(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::String(field) if name == "field" && field != TIMESTAMP => {
                        *field = format!("document.{}", field.trim_end_matches(".keyword"));
                    }
                    other => address_fields(other),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(address_fields),
        _ => {}
    }
}
