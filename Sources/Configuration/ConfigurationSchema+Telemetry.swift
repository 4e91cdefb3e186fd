extension ConfigurationSchema {
    /// What a run tells of itself, and to whom.
    static let telemetryKeys: [ConfigurationKey] = [
        .integer(
            "telemetry.samples_mb", \.telemetry.samplesMegabytes, 1...1_000_000,
            "most megabytes of samples.jsonl; a full one keeps what is worth a look"),
        .flag(
            "telemetry.tensorboard", \.telemetry.tensorboard,
            "TensorBoard's event files are written into tensorboard/ of the run's folder"),
        .optionalText(
            "telemetry.wandb", \.telemetry.wandb,
            "project of Weights & Biases that gets the run's numbers, through its Python client"),
        .optionalText(
            "telemetry.trackio", \.telemetry.trackio,
            "project of trackio that gets the run's numbers, through its Python client"),
        .optionalText(
            "telemetry.mlflow", \.telemetry.mlflow,
            "experiment of MLflow that gets the run's numbers, through its Python client"),
        .text("telemetry.python", \.telemetry.python, .text, "python with these clients"),
        .integer(
            "telemetry.prometheus_port", \.telemetry.prometheusPort, 0...65535,
            "first of the ports at which each process serves its own /metrics to Prometheus, such as 9464; 0: none does"
        ),
        .text(
            "telemetry.prometheus_host", \.telemetry.prometheusHost, .text,
            "address at which they listen; beyond this machine whoever can connect is answered"),
    ]
}
