//! Storage of studies: memory, SQLite and PostgreSQL behind one trait
