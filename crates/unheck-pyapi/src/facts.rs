//! Parts of a system that a source leans on and that no import of a library shows: data files,
//! programs, databases. Start at [`facts`].

use std::collections::BTreeMap;

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, Stmt};
use serde::{Deserialize, Serialize};

use crate::parse::Parsed;
use crate::platform::{Platform, last_name};

/// How many programs of one file are kept.
const MAX_PROGRAMS: usize = 256;

/// Something that a source uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// A command line for `/bin/sh`: `shell=True`, `os.system`, `os.popen`, `getoutput`.
    Shell,
    /// Another program: `subprocess`, `os.exec*`, `os.spawn*`.
    Program,
    /// `mimetypes`: `/etc/mime.types`.
    MimeTypes,
    /// `curses`: terminfo.
    Curses,
    /// `readline`, `cmd`, `code`, `pdb`: terminfo.
    Readline,
    /// `getservbyname`, `getservbyport`: `/etc/services`.
    Services,
    /// `getprotobyname`: `/etc/protocols`.
    Protocols,
    /// `getaddrinfo` and its like, or `socket.create_connection`: NSS.
    HostNames,
    /// `pwd`, `grp`, `getpass.getuser`: `/etc/passwd`, `/etc/group`.
    Users,
    /// `zoneinfo`, `time.tzset`, `dateutil.tz`: tzdata.
    TimeZones,
    /// `locale.setlocale`: compiled locales.
    Locale,
    /// `gettext`: message catalogues.
    Messages,
    /// `tkinter`: Tcl, Tk and their scripts.
    Tkinter,
    /// `ssl`: CA certificates.
    Certificates,
    /// `multiprocessing`: `/dev/shm` and POSIX semaphores.
    Multiprocessing,
    /// `syslog`, `logging.handlers.SysLogHandler`: `/dev/log`.
    Syslog,
    /// `venv`, `ensurepip`: left out of Debian's interpreter.
    Venv,
    /// `webbrowser`: a browser and `xdg-open`.
    Browser,
}

/// What [`facts`] answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceFacts {
    /// Each evidence with the first line, counted from 1, where it shows.
    pub evidence: BTreeMap<Evidence, u32>,
    /// Programs that are started by a literal name, with the first line.
    pub programs: BTreeMap<String, u32>,
}

/// What the source uses, outside branches for other platforms.
pub fn facts(parsed: &Parsed) -> SourceFacts {
    let mut visitor = Facts {
        parsed,
        platform: Platform::default(),
        found: SourceFacts::default(),
    };
    parsed.visit(|| visitor.visit_body(parsed.body()));
    visitor.found
}

struct Facts<'a> {
    parsed: &'a Parsed,
    platform: Platform,
    found: SourceFacts,
}

impl Facts<'_> {
    fn add(&mut self, evidence: Evidence, offset: u32) {
        let line = self.parsed.line(offset);
        self.found.evidence.entry(evidence).or_insert(line);
    }

    fn module(&mut self, module: &str, offset: u32) {
        let top = module.split('.').next().unwrap_or(module);
        let evidence = match top {
            "mimetypes" => Evidence::MimeTypes,
            "curses" | "_curses" => Evidence::Curses,
            "readline" | "rlcompleter" => Evidence::Readline,
            "zoneinfo" | "pytz" | "tzlocal" => Evidence::TimeZones,
            "dateutil" if module.ends_with(".tz") => Evidence::TimeZones,
            "tkinter" | "_tkinter" | "turtle" => Evidence::Tkinter,
            "ssl" => Evidence::Certificates,
            "multiprocessing" => Evidence::Multiprocessing,
            "pwd" | "grp" | "spwd" => Evidence::Users,
            "gettext" => Evidence::Messages,
            "syslog" => Evidence::Syslog,
            "venv" | "ensurepip" => Evidence::Venv,
            "webbrowser" => Evidence::Browser,
            "concurrent" if module.ends_with("ProcessPoolExecutor") => Evidence::Multiprocessing,
            _ => return,
        };
        self.add(evidence, offset);
    }

    fn call(&mut self, call: &ExprCall) {
        let Some(name) = last_name(&call.func) else {
            return;
        };
        let owner = call.func.as_attribute_expr();
        let owner = owner.and_then(|attribute| last_name(&attribute.value));
        let owner = owner.map(|owner| owner.trim_start_matches('_'));
        let offset = call.arguments.range.start().to_u32();
        let evidence = match (owner, name) {
            (Some("os"), "system" | "popen") => Evidence::Shell,
            (_, "getoutput" | "getstatusoutput" | "create_subprocess_shell") => Evidence::Shell,
            (None | Some("socket"), "getservbyname" | "getservbyport") => Evidence::Services,
            (None | Some("socket"), "getprotobyname") => Evidence::Protocols,
            (
                None | Some("socket"),
                "getaddrinfo" | "gethostbyname" | "gethostbyaddr" | "getfqdn" | "gethostbyname_ex"
                | "create_connection",
            ) => Evidence::HostNames,
            (Some("locale") | None, "setlocale") => Evidence::Locale,
            (Some("getpass") | None, "getuser") => Evidence::Users,
            (Some("time") | None, "tzset") => Evidence::TimeZones,
            (_, "SysLogHandler") => Evidence::Syslog,
            (_, "ProcessPoolExecutor") => Evidence::Multiprocessing,
            _ => return self.program(call, owner, name),
        };
        self.add(evidence, offset);
    }

    /// `subprocess.run(["git", …])`, `os.execvp("git", …)` and their like.
    fn program(&mut self, call: &ExprCall, owner: Option<&str>, name: &str) {
        let starts = match name {
            "Popen" | "check_output" | "check_call" | "create_subprocess_exec" => true,
            "run" | "call" => matches!(owner, Some("subprocess" | "sp")),
            _ => {
                owner == Some("os")
                    && ["exec", "spawn", "posix_spawn"]
                        .iter()
                        .any(|start| name.starts_with(start))
            }
        };
        if !starts {
            return;
        }
        let offset = call.arguments.range.start().to_u32();
        let is_shell = call.arguments.keywords.iter().any(|keyword| {
            keyword
                .arg
                .as_ref()
                .is_some_and(|arg| arg.as_str() == "shell")
                && keyword
                    .value
                    .as_boolean_literal_expr()
                    .is_none_or(|value| value.value)
        });
        if is_shell {
            return self.add(Evidence::Shell, offset);
        }
        self.add(Evidence::Program, offset);
        let place = usize::from(name.starts_with("spawn"));
        let first = match call.arguments.args.get(place) {
            Some(Expr::List(list)) => list.elts.first(),
            Some(Expr::Tuple(tuple)) => tuple.elts.first(),
            other => other,
        };
        if let Some(Expr::StringLiteral(text)) = first
            && self.found.programs.len() < MAX_PROGRAMS
        {
            let line = self.parsed.line(offset);
            let program = text.value.to_str();
            if !program.is_empty() && program.len() <= 255 && !program.contains(char::is_whitespace)
            {
                self.found
                    .programs
                    .entry(program.to_owned())
                    .or_insert(line);
            }
        }
    }
}

impl<'a> Visitor<'a> for Facts<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Import(import) => {
                for alias in &import.names {
                    self.module(&alias.name, alias.range.start().to_u32());
                }
            }
            Stmt::ImportFrom(import) if import.level == 0 => {
                let module = import.module.as_ref().map_or("", |module| module.as_str());
                for alias in &import.names {
                    let local = alias.asname.as_ref().unwrap_or(&alias.name);
                    self.platform.learn_import(module, &alias.name, local);
                    let whole = format!("{module}.{}", alias.name);
                    self.module(&whole, alias.range.start().to_u32());
                }
            }
            Stmt::Assign(assign) => {
                for target in &assign.targets {
                    self.platform.learn(target, &assign.value);
                }
                walk_stmt(self, stmt);
            }
            Stmt::If(branch) => {
                self.visit_expr(&branch.test);
                let clauses = branch.elif_else_clauses.iter();
                let clauses = clauses.map(|clause| (clause.test.as_ref(), &clause.body));
                for (test, body) in
                    std::iter::once((Some(&*branch.test), &branch.body)).chain(clauses)
                {
                    match test.and_then(|test| self.platform.truth(test)) {
                        Some(false) => {}
                        Some(true) => return self.visit_body(body),
                        None => self.visit_body(body),
                    }
                }
            }
            _ => walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Call(call) = expr {
            self.call(call);
        }
        walk_expr(self, expr);
    }
}
