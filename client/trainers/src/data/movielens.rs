//! `MovieLens` ratings in the layouts they are published in.
//!
//! * typed files of the `recbole` package: `ml-100k.inter`, `ml-100k.user`, `ml-100k.item` (tab, header `name:kind`);
//! * `GroupLens` 100K: `u.data`, `u.user`, `u.item`, `u.genre`;
//! * `GroupLens` 1M: `ratings.dat`, `users.dat`, `movies.dat`;
//! * `GroupLens` since 10M: `ratings.csv`, `movies.csv`, each also with `.gz`.
//!
//! Fields: user, item; age bucket, gender, occupation, first digit of the postal code where the layout has users'
//! attributes; release period and genres (mean-pooled) where it has items' attributes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::raw::{Column, Dictionary, Entity, RawData, SequenceBuilder, TokenBuilder};
use super::text;
use crate::TrainerError;
use crate::random::hash_text;

/// Reads a folder in whichever layout it is; ratings of at least `positive` are the positive class.
pub(crate) fn read(folder: &Path, positive: f64) -> Result<RawData, TrainerError> {
    let find = |name: &str| text::find(folder, name);
    let mut movies = Movies::default();
    if let Some(ratings) = find("ml-100k.inter") {
        movies.read_ratings(&ratings, Layout::Typed)?;
        movies.read_users(&require(folder, "ml-100k.user")?, "\t", true, [0, 1, 2, 3, 4])?;
        movies.read_items_typed(&require(folder, "ml-100k.item")?)?;
    } else if let Some(ratings) = find("u.data") {
        movies.read_ratings(&ratings, Layout::Tabs)?;
        if let Some(users) = find("u.user") {
            movies.read_users(&users, "|", false, [0, 1, 2, 3, 4])?;
        }
        if let Some(items) = find("u.item") {
            movies.read_items_flags(&items)?;
        }
    } else if let Some(ratings) = find("ratings.dat") {
        movies.read_ratings(&ratings, Layout::Colons)?;
        if let Some(users) = find("users.dat") {
            movies.read_users(&users, "::", false, [0, 2, 1, 3, 4])?;
        }
        if let Some(items) = find("movies.dat") {
            movies.read_items_colons(&items)?;
        }
    } else if let Some(ratings) = find("ratings.csv") {
        movies.read_ratings(&ratings, Layout::Commas)?;
        if let Some(items) = find("movies.csv") {
            movies.read_items_csv(&items)?;
        }
    } else {
        return Err(TrainerError::data(
            folder,
            None,
            "found none of ml-100k.inter, u.data, ratings.dat, ratings.csv (plain or .gz)",
        ));
    }
    movies.finish(folder, positive)
}

fn require(folder: &Path, name: &str) -> Result<PathBuf, TrainerError> {
    text::find(folder, name).ok_or_else(|| TrainerError::data(folder, None, format!("{name} is missing")))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Tabs with a header line.
    Typed,
    Tabs,
    Colons,
    /// Commas with a header line.
    Commas,
}

impl Layout {
    fn separator(self) -> &'static str {
        match self {
            Self::Typed | Self::Tabs => "\t",
            Self::Colons => "::",
            Self::Commas => ",",
        }
    }

    fn has_header(self) -> bool {
        matches!(self, Self::Typed | Self::Commas)
    }
}

/// Age, gender, occupation and first digit of the postal code, as category texts.
type UserAttributes = [String; 4];

#[derive(Debug, Default)]
struct ItemAttributes {
    period: String,
    genres: Vec<String>,
}

#[derive(Default)]
struct Movies {
    users: Dictionary,
    items: Dictionary,
    user_rows: Vec<u32>,
    item_rows: Vec<u32>,
    ratings: Vec<f64>,
    times: Vec<f64>,
    hashes: Vec<u64>,
    user_attributes: HashMap<u32, UserAttributes>,
    item_attributes: HashMap<u32, ItemAttributes>,
}

impl Movies {
    fn read_ratings(&mut self, path: &Path, layout: Layout) -> Result<(), TrainerError> {
        let content = text::read(path)?;
        for (line, row) in numbered(&content, layout.has_header()) {
            let parts: Vec<&str> = row.split(layout.separator()).collect();
            let [user, item, rating, time] = parts[..] else {
                let problem = format!("expected user, item, rating, time; found {} columns", parts.len());
                return Err(TrainerError::data(path, Some(line), problem));
            };
            let user_row = self.users.intern(user);
            let item_row = self.items.intern(item);
            self.user_rows.push(user_row);
            self.item_rows.push(item_row);
            self.ratings.push(text::number(rating, "rating", path, line)?);
            self.times.push(text::number(time, "time", path, line)?);
            self.hashes.push(hash_text(&[user, item, time]));
        }
        Ok(())
    }

    /// `columns` are the positions of id, age, gender, occupation and postal code.
    fn read_users(
        &mut self,
        path: &Path,
        separator: &str,
        header: bool,
        columns: [usize; 5],
    ) -> Result<(), TrainerError> {
        let content = text::read(path)?;
        for (line, row) in numbered(&content, header) {
            let parts: Vec<&str> = row.split(separator).collect();
            if parts.len() < 5 {
                let problem = format!("expected 5 columns of a user, found {}", parts.len());
                return Err(TrainerError::data(path, Some(line), problem));
            }
            let [id, age, gender, occupation, zip] = columns.map(|column| parts[column]);
            if let Some(user) = self.users.find(id) {
                let age = age_bucket(text::number(age, "age", path, line)?);
                let area = zip.chars().take(1).collect();
                self.user_attributes
                    .insert(user, [age.to_owned(), gender.to_owned(), occupation.to_owned(), area]);
            }
        }
        Ok(())
    }

    fn read_items_typed(&mut self, path: &Path) -> Result<(), TrainerError> {
        let content = text::read(path)?;
        for (line, row) in numbered(&content, true) {
            let parts: Vec<&str> = row.split('\t').collect();
            let [id, _, year, genres] = parts[..] else {
                let problem = format!("expected item, title, year, genres; found {} columns", parts.len());
                return Err(TrainerError::data(path, Some(line), problem));
            };
            self.set_item(id, year.trim(), genres.split(' '));
        }
        Ok(())
    }

    fn read_items_flags(&mut self, path: &Path) -> Result<(), TrainerError> {
        /// Columns of `u.item` before the genre flags: id, title, release date, video release date, address.
        const FIRST_FLAG: usize = 5;
        let content = text::read(path)?;
        for (line, row) in numbered(&content, false) {
            let parts: Vec<&str> = row.split('|').collect();
            if parts.len() <= FIRST_FLAG {
                let problem =
                    format!("expected id, title, dates, address, flags; found {} columns", parts.len());
                return Err(TrainerError::data(path, Some(line), problem));
            }
            let genres: Vec<String> = parts[FIRST_FLAG..]
                .iter()
                .enumerate()
                .filter(|(_, flag)| **flag == "1")
                .map(|(genre, _)| format!("genre_{genre}"))
                .collect();
            let year = parts[2].rsplit('-').next().unwrap_or("");
            self.set_item(parts[0], year, genres.iter().map(String::as_str));
        }
        Ok(())
    }

    fn read_items_colons(&mut self, path: &Path) -> Result<(), TrainerError> {
        let content = text::read(path)?;
        for (line, row) in numbered(&content, false) {
            let parts: Vec<&str> = row.split("::").collect();
            let [id, title, genres] = parts[..] else {
                let problem = format!("expected item, title, genres; found {} columns", parts.len());
                return Err(TrainerError::data(path, Some(line), problem));
            };
            self.set_item(id, year_of_title(title), genres.split('|'));
        }
        Ok(())
    }

    fn read_items_csv(&mut self, path: &Path) -> Result<(), TrainerError> {
        let content = text::read(path)?;
        let mut reader = csv::ReaderBuilder::new().has_headers(true).from_reader(content.as_bytes());
        for record in reader.records() {
            let record = record.map_err(|error| {
                TrainerError::data(path, error.position().map(csv::Position::line), error.to_string())
            })?;
            let (Some(id), Some(title), Some(genres)) = (record.get(0), record.get(1), record.get(2)) else {
                let line = record.position().map(csv::Position::line);
                return Err(TrainerError::data(path, line, "expected item, title, genres"));
            };
            self.set_item(
                id,
                year_of_title(title),
                genres.split('|').filter(|genre| !genre.starts_with('(')),
            );
        }
        Ok(())
    }

    fn set_item<'a>(&mut self, id: &str, year: &str, genres: impl Iterator<Item = &'a str>) {
        if let Some(item) = self.items.find(id) {
            let genres = genres.map(str::to_owned).collect();
            self.item_attributes.insert(item, ItemAttributes { period: release_period(year), genres });
        }
    }

    fn finish(self, folder: &Path, positive: f64) -> Result<RawData, TrainerError> {
        if self.ratings.is_empty() {
            return Err(TrainerError::data(folder, None, "the ratings file has no rows"));
        }
        let (users, items) = (self.users.len(), self.items.len());
        let identity = |count: usize| Column::Token { codes: (0..count as u32).collect(), distinct: count };

        let mut user_columns = vec![("user_id".to_owned(), identity(users))];
        if !self.user_attributes.is_empty() {
            for (position, name) in ["age", "gender", "occupation", "postal_area"].into_iter().enumerate() {
                let mut column = TokenBuilder::default();
                for user in 0..users as u32 {
                    column
                        .push(self.user_attributes.get(&user).map_or("", |attributes| &attributes[position]));
                }
                user_columns.push((name.to_owned(), column.finish()));
            }
        }
        let mut item_columns = vec![("item_id".to_owned(), identity(items))];
        if !self.item_attributes.is_empty() {
            let (mut periods, mut genres) = (TokenBuilder::default(), SequenceBuilder::default());
            for item in 0..items as u32 {
                let attributes = self.item_attributes.get(&item);
                periods.push(attributes.map_or("", |attributes| &attributes.period));
                genres.push(
                    attributes.iter().flat_map(|attributes| attributes.genres.iter().map(String::as_str)),
                );
            }
            item_columns.push(("release_period".to_owned(), periods.finish()));
            item_columns.push(("genres".to_owned(), genres.finish()));
        }
        Ok(RawData {
            entities: vec![
                Entity { columns: user_columns, rows: users, reference: Some(self.user_rows.clone()) },
                Entity { columns: item_columns, rows: items, reference: Some(self.item_rows) },
            ],
            labels: self.ratings.iter().map(|&rating| u8::from(rating >= positive)).collect(),
            times: Some(self.times),
            groups: Some(self.user_rows),
            hashes: self.hashes,
        })
    }
}

/// Lines with their numbers, counted from 1; empty lines are left out.
fn numbered(content: &str, header: bool) -> impl Iterator<Item = (u64, &str)> {
    content
        .lines()
        .enumerate()
        .skip(usize::from(header))
        .filter(|(_, row)| !row.trim().is_empty())
        .map(|(index, row)| (index as u64 + 1, row))
}

/// Age groups of `GroupLens`' 1M release, so that both releases have the same categories.
fn age_bucket(age: f64) -> &'static str {
    match age {
        age if age < 18.0 => "under 18",
        age if age < 25.0 => "18-24",
        age if age < 35.0 => "25-34",
        age if age < 45.0 => "35-44",
        age if age < 50.0 => "45-49",
        age if age < 56.0 => "50-55",
        _ => "56 and over",
    }
}

/// Decades until 1970, five-year periods until 1990, single years after; empty where the year is unknown.
fn release_period(year: &str) -> String {
    match year.parse::<u32>() {
        Ok(year) if year < 1970 => (year / 10 * 10).to_string(),
        Ok(year) if year < 1990 => (year / 5 * 5).to_string(),
        Ok(year) => year.to_string(),
        Err(_) => String::new(),
    }
}

/// The year of a title such as `Toy Story (1995)`, or an empty text.
fn year_of_title(title: &str) -> &str {
    title.trim_end().strip_suffix(')').and_then(|rest| rest.rsplit_once('(')).map_or("", |(_, year)| year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_fall_into_documented_groups() {
        assert_eq!(age_bucket(17.0), "under 18");
        assert_eq!(age_bucket(56.0), "56 and over");
        assert_eq!(release_period("1969"), "1960");
        assert_eq!(release_period("1989"), "1985");
        assert_eq!(release_period("1996"), "1996");
        assert_eq!(release_period("unknown"), "");
        assert_eq!(year_of_title("Seven (a.k.a. Se7en) (1995) "), "1995");
        assert_eq!(year_of_title("Untitled"), "");
    }
}
