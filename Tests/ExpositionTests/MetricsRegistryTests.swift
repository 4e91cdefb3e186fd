import CoreMetrics
import Exposition
import Testing

@Suite struct MetricsRegistryTests {
    @Test func numbersAreToldByNameAndLabels() {
        let registry = MetricsRegistry(labels: [("run", "tiny")])
        Meter(label: "opd_step", factory: registry).set(1)
        Meter(label: "opd_step", factory: registry).set(3)
        Gauge(label: "opd_loss", factory: registry).record(-0.25)
        // One series however often it is made; whole numbers and parts of them.
        for _ in 0..<2 {
            Counter(label: "opd_bad_steps_total", factory: registry).increment(by: 2)
            FloatingPointCounter(
                label: "opd_stage_seconds_total", dimensions: [("stage", "training")], factory: registry
            ).increment(by: 0.25)
        }
        FloatingPointCounter(
            label: "opd_stage_seconds_total", dimensions: [("stage", "other")], factory: registry
        ).increment(by: 0.0)
        let gone = Meter(label: "opd_leases", factory: registry)
        gone.set(4)
        gone.destroy()
        // Nothing was measured.
        Meter(label: "opd_entropy", factory: registry).set(Double.nan)
        _ = Meter(label: "opd_ratio_mean", factory: registry)
        #expect(
            registry.text == """
                # HELP opd_bad_steps_total Steps that were given up.
                # TYPE opd_bad_steps_total counter
                opd_bad_steps_total{run="tiny"} 4.0
                # HELP opd_loss The last loss of metrics.jsonl.
                # TYPE opd_loss gauge
                opd_loss{run="tiny"} -0.25
                # HELP opd_stage_seconds_total Time that a process was in a stage, such as training or waiting for work.
                # TYPE opd_stage_seconds_total counter
                opd_stage_seconds_total{run="tiny",stage="other"} 0.0
                opd_stage_seconds_total{run="tiny",stage="training"} 0.5
                # HELP opd_step Steps that are done.
                # TYPE opd_step gauge
                opd_step{run="tiny"} 3.0

                """)
    }

    @Test func ofWhatIsSpreadSumAndCountAreKept() {
        let registry = MetricsRegistry(labels: [])
        let timer = Timer(label: "opd_save_seconds", factory: registry)
        timer.recordNanoseconds(500_000_000)
        timer.recordNanoseconds(1_500_000_000)
        Recorder(label: "opd_length", dimensions: [("kind", "a")], aggregate: true, factory: registry).record(7)
        let lines = registry.text.split(separator: "\n")
        #expect(lines.contains("# TYPE opd_save_seconds summary"))
        #expect(lines.contains("opd_save_seconds_sum 2.0") && lines.contains("opd_save_seconds_count 2.0"))
        #expect(lines.contains("opd_length_sum{kind=\"a\"} 7.0"))
    }

    /// Whatever a tag or a member is called: a series is one line, and its label one text.
    @Test func namesOfOthersStayTexts() {
        let hostile = "a\"} 1\r\n# TYPE x counter\nx{y=\"\\"
        let registry = MetricsRegistry(labels: [("run", hostile)])
        Meter(label: "opd_step", factory: registry).set(1)
        var lines = registry.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        #expect(lines.count == 4 && lines[3].isEmpty)
        #expect(
            lines[2].unicodeScalars.elementsEqual(
                "opd_step{run=\"a\\\"} 1\r\\n# TYPE x counter\\nx{y=\\\"\\\\\"} 1.0".unicodeScalars))
        let long = MetricsRegistry(labels: [("run", String(repeating: "e\u{301}", count: 10_000))])
        Meter(label: "opd_step", factory: long).set(1)
        lines = long.text.split(separator: "\n").map(String.init)
        #expect(lines[2].utf8.count < 1000)
    }
}
