//! Analysis of finished and running studies for people to look at
