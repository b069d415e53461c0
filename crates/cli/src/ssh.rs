//! How the system's ssh is called. What is not asked for is left to ssh's own configuration.

use std::time::Duration;

/// The options of every call of ssh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// The user on the other machine.
    pub user: Option<String>,
    /// How long connecting may take.
    pub timeout: Option<Duration>,
    /// The file of known host keys.
    pub known_hosts: Option<String>,
    /// Host keys are checked as ssh is configured; without it unknown and changed ones are accepted.
    pub strict: bool,
    /// The command that ssh reaches machines through.
    pub jump: Option<String>,
}

impl Ssh {
    /// The options that every connection gets.
    pub fn options(&self) -> Vec<String> {
        let mut options = Vec::new();
        let mut option = |text: String| options.extend(["-o".to_owned(), text]);
        if let Some(timeout) = self.timeout {
            // ssh counts whole seconds, and takes none as no limit.
            option(format!("ConnectTimeout={}", timeout.as_secs_f64().ceil().max(1.0)));
        }
        if let Some(file) = &self.known_hosts {
            option(format!("UserKnownHostsFile=\"{}\"", file.replace('%', "%%")));
        }
        if !self.strict {
            option("StrictHostKeyChecking=no".to_owned());
        }
        options
    }

    /// ssh to `address`, up to the point where the remote command follows.
    pub fn line(&self, address: &str, port: Option<u16>, more: &[&str]) -> Vec<String> {
        let mut line = vec!["ssh".to_owned()];
        line.extend(self.options());
        if let Some(jump) = &self.jump {
            line.extend(["-o".to_owned(), format!("ProxyCommand={jump}")]);
        }
        line.extend(more.iter().map(|&word| word.to_owned()));
        if let Some(port) = port {
            line.extend(["-p".to_owned(), port.to_string()]);
        }
        if let Some(user) = &self.user {
            line.extend(["-l".to_owned(), user.clone()]);
        }
        // Nothing the cluster says can become an option of ssh.
        line.extend(["--".to_owned(), address.to_owned()]);
        line
    }
}

impl Default for Ssh {
    fn default() -> Self {
        Self { user: None, timeout: None, known_hosts: None, strict: true, jump: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_decides_what_is_not_asked_for() {
        assert_eq!(Ssh::default().line("-oProxyCommand=x", None, &[]), ["ssh", "--", "-oProxyCommand=x"]);
    }

    #[test]
    fn what_is_asked_for() {
        let ssh = Ssh {
            user: Some("core".into()),
            timeout: Some(Duration::from_millis(2500)),
            known_hosts: Some("/a b/100%".into()),
            strict: false,
            jump: Some("ssh -W [%h]:%p -- gate".into()),
        };
        let line = ssh.line("10.1.1.1", Some(2222), &["-A"]);
        let expected = concat!(
            "ssh|-o|ConnectTimeout=3|-o|UserKnownHostsFile=\"/a b/100%%\"|-o|StrictHostKeyChecking=no|",
            "-o|ProxyCommand=ssh -W [%h]:%p -- gate|-A|-p|2222|-l|core|--|10.1.1.1"
        );
        assert_eq!(line.join("|"), expected);
    }
}
