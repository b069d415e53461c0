//! Tries the lab library by hand: `lab [--name N] [--subnet S] [--binary F] [-n COUNT] VERB [MACHINE [COMMAND...]]`;
//! `lab [--name N] images FOLDER PREFIX [PROGRAM=FILE...]` builds and serves images.

use std::error::Error;
use std::process::ExitCode;

use flota_lab::{ContainerRecipe, ImageFolder, Lab, LabConfig, Plain};

#[expect(clippy::print_stderr, reason = "an example talks to people")]
fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("lab: {error}");
        if let Some(source) = error.source() {
            eprintln!("  because: {source}");
        }
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let mut config = LabConfig::default();
    let mut words = std::env::args().skip(1).peekable();
    while let Some(option) = words.next_if(|word| word.starts_with('-')) {
        let value = words.next().ok_or("an option needs a value")?;
        match option.as_str() {
            "--name" => config.name = value.parse()?,
            "--subnet" => config.subnet = value.parse()?,
            "--suite" => config.suite = value.parse()?,
            "--binary" => config.binary = Some(value.into()),
            "-n" => config.machines = value.parse()?,
            _ => return Err(format!("unknown option {option}").into()),
        }
    }
    let verb = words.next().ok_or("which verb?")?;
    let rest: Vec<String> = words.collect();
    let machine = rest.first().map_or("", String::as_str);
    let mut progress = Plain(std::io::stderr());
    let lab = Lab::open(config)?;
    match verb.as_str() {
        "up" => show(lab.up(&mut progress)?),
        "list" => show(lab.list()?),
        "image" => show([lab.build_image(&mut progress)?]),
        "web" => lab.build_container_image("flota/web:1", &ContainerRecipe::web(), &mut progress)?,
        "images" => lab.serve_images(&folder(&rest)?, &mut progress)?,
        "kill" => lab.kill(machine)?,
        "start" => lab.start(machine, &mut progress)?,
        "reboot" => lab.reboot(machine, &mut progress)?,
        "freeze" => lab.freeze(machine)?,
        "thaw" => lab.thaw(machine)?,
        "cut" => lab.cut(machine)?,
        "heal" => lab.heal(machine)?,
        "down" => lab.down(&mut progress)?,
        "exec" => {
            let argv = rest.get(1..).unwrap_or_default();
            let status = lab.exec(machine, argv.strip_prefix(&["--".to_owned()]).unwrap_or(argv))?;
            return Ok(status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8)));
        }
        _ => return Err(format!("unknown verb {verb}").into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// `FOLDER PREFIX [PROGRAM=FILE...]`
fn folder(words: &[String]) -> Result<ImageFolder, Box<dyn Error>> {
    let [dir, prefix, programs @ ..] = words else { return Err("which folder, and what do names begin with?".into()) };
    let programs = programs.iter().map(|word| {
        let (name, file) = word.split_once('=').ok_or_else(|| format!("`{word}` is not PROGRAM=FILE"))?;
        Ok((name.to_owned(), file.into()))
    });
    let programs = programs.collect::<Result<_, String>>()?;
    Ok(ImageFolder { dir: dir.into(), prefix: prefix.clone(), programs })
}

#[expect(clippy::print_stdout, reason = "an example talks to people")]
fn show<T: std::fmt::Debug>(items: impl IntoIterator<Item = T>) {
    for item in items {
        println!("{item:?}");
    }
}
