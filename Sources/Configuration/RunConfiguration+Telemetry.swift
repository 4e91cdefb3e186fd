extension RunConfiguration {
    /// What a run tells of itself.
    package struct Telemetry: Sendable, Equatable {
        /// Most megabytes of `samples.jsonl`.
        package var samplesMegabytes = 256
        /// Whether the run writes TensorBoard's event files, too.
        package var tensorboard = false
        /// The project of Weights & Biases, or of trackio, and the experiment of MLflow, that gets the run's numbers;
        /// nil: none.
        package var wandb: String?
        package var trackio: String?
        package var mlflow: String?
        /// The Python that has their clients.
        package var python = "python3"
        /// The first of the ports at which the processes of a machine serve their numbers to Prometheus; 0: they do not.
        package var prometheusPort = 0
        /// Where they listen.
        package var prometheusHost = "127.0.0.1"
        package init() {}

        /// Leaves out what tells others of a run: nothing is to come of what is only tried.
        package mutating func startsNothing() { (wandb, trackio, mlflow) = (nil, nil, nil) }

        /// The clients that get the run's numbers, by the names of their Python packages, and where in them.
        package var trackers: [(client: String, place: String)] {
            [("wandb", wandb), ("trackio", trackio), ("mlflow", mlflow)]
                .compactMap { client, place in place.map { (client, $0) } }
        }
    }
}
