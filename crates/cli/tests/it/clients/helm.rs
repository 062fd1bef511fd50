//! helm: a chart goes up and comes back.

use std::fs;

use super::dock::Dock;
use super::program::Program;
use crate::setup::machine;

#[test]
fn helm_pulls_the_chart_that_it_pushed() {
    let mut dock = Dock::open("helm").unwrap();
    let Some(helm) = Program::find(&dock.scratch, "helm", &[]).unwrap() else {
        return;
    };
    let _machine = machine();
    let chart = helm.home().join("boat");
    fs::create_dir_all(chart.join("templates")).unwrap();
    let about = "apiVersion: v2\nname: boat\nversion: 1.2.3+tide.4\ndescription: floats\n";
    fs::write(chart.join("Chart.yaml"), about).unwrap();
    fs::write(chart.join("templates/map.yaml"), "kind: ConfigMap\n").unwrap();

    helm.run(&["package", "boat"]).unwrap();
    let packed = "boat-1.2.3+tide.4.tgz";
    let charts = format!("oci://{}", dock.name("charts"));
    helm.run(&["push", "--plain-http", packed, &charts])
        .unwrap();
    // A tag has no plus: helm writes it as an underscore.
    assert_eq!(dock.tags("charts/boat").unwrap(), ["1.2.3_tide.4"]);
    dock.stored("charts/boat", "1.2.3_tide.4").unwrap();

    let boat = format!("{charts}/boat");
    let version = ["--plain-http", "--version", "1.2.3+tide.4"];
    let show = [&["show", "chart", &boat], &version[..]].concat();
    assert!(helm.run(&show).unwrap().contains("description: floats"));
    let pull = [&["pull", &boat, "--destination", "pulled"], &version[..]].concat();
    fs::create_dir_all(helm.home().join("pulled")).unwrap();
    helm.run(&pull).unwrap();
    assert_eq!(
        fs::read(helm.home().join("pulled").join(packed)).unwrap(),
        fs::read(helm.home().join(packed)).unwrap()
    );
}
