//! The parts of the program: the one that measures, and those that are measured.

mod contestant;
mod control;
mod load;
mod modes;
mod payload;
mod report;
mod rounds;
mod serve;
mod spec;
mod system;

use std::error::Error;

use self::modes::{Mode, Options};
use self::spec::Kind;

pub(crate) fn main(args: &[String]) -> Result<(), Box<dyn Error>> {
    raise_file_limit()?;
    match args {
        [part, spec] if part == "--serve" => return serve::serve(&serde_json::from_str(spec)?),
        [part, spec] if part == "--load" => return load::load(&serde_json::from_str(spec)?),
        _ => {}
    }
    let Some(options) = options(args)? else {
        return Ok(());
    };
    let mut report = report::Report::new(&options);
    for mode in Mode::ALL {
        if options.modes.contains(&mode) {
            mode.run(&options, &mut report)?;
        }
    }
    println!("\nwritten to {}", report.write_json()?.display());
    Ok(())
}

/// What is asked for; nothing when that was help.
fn options(args: &[String]) -> Result<Option<Options>, Box<dyn Error>> {
    let mut options = Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mode = Mode::ALL.into_iter().find(|mode| mode.name() == arg);
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == arg);
        match (arg.as_str(), mode, kind) {
            ("--quick", ..) => options.quick = true,
            ("--workers", ..) => {
                let count = args.next().and_then(|count| count.parse().ok());
                options.workers = count.ok_or("--workers takes a number")?;
            }
            // What cargo adds.
            ("--bench", ..) => {}
            ("--help", ..) => {
                println!("{}", usage());
                return Ok(None);
            }
            (_, Some(mode), _) => options.modes.push(mode),
            (_, _, Some(kind)) => options.kinds.push(kind),
            _ => return Err(format!("there is no `{arg}`\n{}", usage()).into()),
        }
    }
    if options.modes.is_empty() {
        options.modes = Mode::ALL.to_vec();
    }
    Ok(Some(options))
}

fn usage() -> String {
    let modes = Mode::ALL.map(Mode::name).join(", ");
    let kinds = Kind::ALL
        .map(|kind| format!("`{}`", kind.name()))
        .join(", ");
    format!(
        "fanout [--quick] [--workers 2] [MODE…] [SERVER…]\nmodes: {modes}; all by default\n\
         servers: {kinds}; all by default, and the floors always"
    )
}

/// Makes room for a socket a connection, in this process and in those that it starts.
fn raise_file_limit() -> Result<(), Box<dyn Error>> {
    let limit = rlimit::increase_nofile_limit(FILES)?;
    if limit < FILES {
        return Err(format!(
            "{FILES} open files are needed and {limit} allowed: run `ulimit -n {FILES}` first"
        )
        .into());
    }
    Ok(())
}

/// The largest number of connections, and some.
const FILES: u64 = 9_500;
