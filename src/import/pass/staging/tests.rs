use super::*;
use crate::users::model::Person;

fn person(unique_id: &str, name: &str) -> Profile {
    let mut profile = Profile::new(Person::bare(unique_id, name));
    profile.person.upn = Some(format!("{name}@corp.example"));
    profile
}

#[tokio::test]
async fn people_come_by_unique_id_then_names_by_name_then_mails() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(Aside::new(folder.path()));
    let early = vec![
        Kept::Write("3".into(), LetterKind::New),
        Kept::Bare(person("3", "anna")),
        Kept::Remove("2".into()),
        Kept::Change(person("1", "zoe")),
    ];
    running.steps.send((Turn::People, early)).await.unwrap();
    running.steps.send((Turn::Late, vec![Kept::Bare(person("0", "bert"))])).await.unwrap();
    let mut running = running;
    running.steps = mpsc::channel(1).0;
    let kept = (&mut running.task).await.unwrap().unwrap();
    assert!(!kept.newcomers);
    let [people, names] = [kept.people, kept.names].map(|spool| handful(spool.sorted().unwrap()).unwrap().1);
    assert_eq!((people.len(), names.len()), (4, 5));
    let steps = [people, names].concat();
    let claim = |folded: &str, kind, unique_id: &str| {
        Step::Claim(Claim { folded: folded.into(), kind, unique_id: unique_id.into() })
    };
    let expected = [
        Step::Change(person("1", "zoe")),
        Step::Remove("2".into()),
        Step::Bare(person("3", "anna")),
        Step::Bare(person("0", "bert")),
        claim("anna", NameKind::Name, "3"),
        claim("anna@corp.example", NameKind::Upn, "3"),
        claim("bert", NameKind::Name, "0"),
        claim("bert@corp.example", NameKind::Upn, "0"),
        Step::Write("3".into(), LetterKind::New),
    ];
    assert_eq!(steps, expected);
}
