//! Single situations of one node among others, as tables: what Apache Kafka does in the same place.

mod elections;
mod followers;
mod hostile;
mod lab;
mod leaders;
mod membership;
mod requests;
