//! Links with what `[Install]` asks for.

use flota_systemd::SystemdError;

use crate::Rig;

#[tokio::test]
async fn enabling_links_too_and_one_bad_install_spoils_the_call() {
    let rig = Rig::new().await;
    let (good, bad) = (rig.write("good.service"), rig.write("bad.service"));
    rig.fake.refuse_install("bad.service");
    let error = rig.systemd.enable(&[good.clone(), bad.clone()]).await.unwrap_err();
    assert!(
        matches!(&error, SystemdError::Refused { operation: "enable", message, .. } if message.contains("bad.service"))
    );
    rig.systemd.enable(std::slice::from_ref(&good)).await.unwrap();
    rig.systemd.link(std::slice::from_ref(&bad)).await.unwrap();
    rig.systemd.enable(&[]).await.unwrap();
    assert_eq!(rig.fake.calls(), ["enable good.service", "link good.service", "link bad.service"]);
    assert_eq!(rig.fake.links()["good.service"], good);
}
