//! Linear algebra, special functions, quasi-random points and L-BFGS for the solvers
