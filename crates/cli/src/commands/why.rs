//! `why`: explain where a unit is and why, machine by machine.

use flota_api::native::{Explanation, MachineVerdict};

use crate::{
    cli::{Format, WhyArgs},
    context::{Context, retrieving},
    exit::Exit,
    failure::Failure,
    machines,
    names::unit_name,
    output::{
        legend::legend,
        table::{Field, Layout, or_dash, render},
    },
    style::Style,
};

const FIELDS: &[Field<MachineVerdict>] = &[
    Field { name: "machine", cell: |verdict, full| legend(&verdict.machine, &verdict.address, full) },
    Field { name: "eligible", cell: |verdict, _| if verdict.eligible { "yes" } else { "no" }.to_owned() },
    Field { name: "reason", cell: |verdict, _| or_dash(&verdict.reasons.join("; ")) },
];

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &WhyArgs) -> Result<Exit, Failure> {
    let name = unit_name(&arguments.unit)?;
    let why = context.client.why(name.as_str()).await.map_err(|error| retrieving(&name, &error))?;
    let Some(why) = why else {
        return Err(Failure::new(Exit::FAILURE, format!("Unit {name} does not exist.")));
    };
    match arguments.print.output {
        Format::Json => context.printer.json(&why)?,
        Format::Text => {
            let note = match &why.scheduled_on {
                Some(id) => machines::note(context, id).await,
                None => None,
            };
            context.printer.data(&text(&why, note, context.style)?)?;
        }
    }
    Ok(Exit::SUCCESS)
}

fn text(why: &Explanation, note: Option<String>, style: Style) -> Result<String, Failure> {
    let place = match &why.scheduled_on {
        Some(id) => {
            let address = why.machines.iter().find(|verdict| verdict.machine == *id);
            format!("on {}", legend(id, address.map_or("", |verdict| &verdict.address), false))
        }
        None => "on no machine".to_owned(),
    };
    let mut lines = vec![format!("{}: should be {}, is {place}", why.unit, why.desired)];
    lines.extend(why.cause.iter().map(|cause| format!("cause: {cause}")));
    lines.extend(why.problem.iter().map(|problem| format!("problem: {problem}")));
    lines.extend(note.map(|note| format!("note: {note}")));
    let mut text = lines.join("\n") + "\n";
    if !why.machines.is_empty() {
        let layout = Layout { fields: "machine,eligible,reason", full: false, no_legend: false };
        text.push('\n');
        text.push_str(&render(FIELDS, layout, &why.machines, style)?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use flota_api::v1::DesiredState;

    use super::*;

    #[test]
    fn what_people_read() {
        let verdict = |machine: &str, address: &str, reasons: &[&str]| MachineVerdict {
            machine: machine.into(),
            address: address.into(),
            eligible: reasons.is_empty(),
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        };
        let mut why = Explanation {
            unit: "web@2.service".into(),
            desired: DesiredState::Launched,
            scheduled_on: Some("f1ee0200aaaa".into()),
            cause: Some("least loaded of 1 eligible machine".into()),
            machines: vec![
                verdict("f1ee0100aaaa", "10.1.1.1", &["conflicts with web@1.service"]),
                verdict("f1ee0200aaaa", "10.1.1.20", &[]),
            ],
            problem: None,
        };
        expect![[r"
            web@2.service: should be launched, is on f1ee0200.../10.1.1.20
            cause: least loaded of 1 eligible machine
            note: machine f1ee0200.../10.1.1.20 is draining

            MACHINE                ELIGIBLE  REASON
            f1ee0100.../10.1.1.1   no        conflicts with web@1.service
            f1ee0200.../10.1.1.20  yes       -
        "]]
        .assert_eq(&text(&why, Some("machine f1ee0200.../10.1.1.20 is draining".into()), Style::Flota).unwrap());
        (why.scheduled_on, why.cause) = (None, None);
        why.machines.clear();
        why.problem = Some("the cluster has no machines".into());
        expect![[r"
            web@2.service: should be launched, is on no machine
            problem: the cluster has no machines
        "]]
        .assert_eq(&text(&why, None, Style::Flota).unwrap());
    }
}
