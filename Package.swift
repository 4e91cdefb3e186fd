// swift-tools-version: 6.2
import PackageDescription

// CI turns warnings into errors; a user's newer toolchain with new warnings still builds.
let strict = Context.environment["OPD_WARNINGS_AS_ERRORS"] != nil
let swiftSettings: [SwiftSetting] = strict ? [.treatAllWarnings(as: .error)] : []
// The fuzzer's program links only with -sanitize=fuzzer: 'make fuzz' asks for it.
let fuzzing = Context.environment["OPD_FUZZ"] != nil
// Kernels are optimised in debug builds too: tests run them on real models.
let kernelSettings: [CSetting] = [.unsafeFlags(["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"])]

func module(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: [.byName(name: name)] + dependencies, exclude: [], resources: resources,
        swiftSettings: swiftSettings)
}

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let deques: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let heaps: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")
let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let metrics: Target.Dependency = .product(name: "CoreMetrics", package: "swift-metrics")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")

let package = Package(
    name: "opd",
    products: [.executable(name: "opd", targets: ["opd"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.28.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.6.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    ],
    targets: [
        // C: kernels, library shims and module maps.
        .target(name: "CKernels", cSettings: kernelSettings),
        .target(name: "COneDNN", linkerSettings: [.linkedLibrary("dnnl"), .linkedLibrary("gomp")]),
        .target(name: "CPlatform"),
        .target(name: "CCurl"),
        .systemLibrary(name: "CZeroMQ"),
        .systemLibrary(name: "CPCRE2"),
        .systemLibrary(name: "CZstandard"),

        // Lower floors know nothing of upper ones.
        module("Hashing", []),
        module("Wording", []),
        module("Randomness", []),
        module("Tokens", []),
        module("Rules", []),
        module("Locking", ["CPlatform"]),
        module("JSON", []),
        module("Files", ["CPlatform", system]),
        module("Compute", ["Rules", "Randomness", "Wording", "CKernels", "COneDNN"]),
        module("Patterns", ["CPCRE2"]),
        module("Tokenizers", ["Patterns", "Hashing", "JSON", "Tokens", "Wording"]),
        module("Templates", ["JSON", "Wording"]),
        module("Models", ["Rules", "Tokenizers", "Templates", "Files", "JSON", "Randomness", "Wording", "CKernels"]),
        module("Transformers", ["Models", "Compute", "Rules", "Tokens", "Randomness", "Files"]),
        module(
            "Generation",
            ["Distillation", "Transformers", "Models", "Compute", "Tokenizers", "Tokens", "Randomness", "Wording"]),
        module("Training", ["Transformers", "Models", "Compute", "Rules", "Tokens", "Files"]),
        module("Distillation", ["Tokens", "Patterns", "Randomness", "Wording"]),
        module("Environments", ["Randomness", "Wording"]),
        module(
            "EnvironmentPrograms",
            ["Environments", "Supervision", "JSON", "Files", "Locking", "Wording", "CPlatform", logging]),
        module("ZeroMQ", ["CZeroMQ", "Wording"]),
        module(
            "Wire", ["Distillation", "Tokens", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
            exclude: ["Protos"]),
        module("Telemetry", ["Distillation", "Tokens", "Randomness", "Locking", "Files", "JSON", "Wording", logging]),
        module("Configuration", ["Distillation", "Environments", "JSON", .product(name: "Yams", package: "Yams")]),
        module("RunFiles", ["Files", "JSON", "Telemetry", "Distillation", "Tokens", "Wire", "Locking", "Wording"]),
        module("PageServer", ["Locking", "Wording"]),
        module("Exposition", ["Locking", metrics]),
        module(
            "CheckpointCopies",
            ["Supervision", "RunFiles", "Files", "Hashing", "Locking", "Wording", "CCurl", logging]),
        .target(
            name: "Watch",
            dependencies: [
                "PageServer", "Exposition", "RunFiles", "Wire", "Configuration", "Telemetry", "JSON", "Files",
                "Hashing", "Locking", system,
            ],
            resources: [
                "page.html", "page.css", "text.js", "curves.js", "overview.js", "tokens.js", "stages.js", "members.js",
                "live.js", "page.js",
            ].map { .embedInCode("Page/\($0)") } + [.embedInCode("Export/parquet.py")], swiftSettings: swiftSettings),
        module("Transport", ["Wire", "ZeroMQ", "Files", "Locking", "Wording", "CPlatform", system, logging, deques]),
        module("Relaying", ["Transport", "Wire", "Files", logging, deques]),
        module("Exchange", ["Wire", "Distillation", "Tokens", "Wording", deques, heaps]),
        // Measures what a learner's members cost it: not a part of the product.
        module("ClusterSimulation", ["Exchange", "Wire", "Distillation", "Randomness", heaps]),
        .executableTarget(
            name: "opd-scale",
            dependencies: [
                "ClusterSimulation", "Transport", "Exchange", "Wire", "Distillation", logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swiftSettings),
        module(
            "Engines", ["Wire", "Distillation", "Tokens", "Tokenizers", "Templates", "Files", "Locking", "CPlatform"]),
        module("StudentWeights", ["Engines", "Models", "Files", "Rules", "Tokenizers", "Wire"]),
        module("WeightDifferences", ["Wire", "Files", "Wording", "CPlatform", "CZstandard"]),
        module(
            "NativeEngine",
            [
                "Engines", "StudentWeights", "Wire", "Locking", "Distillation", "Training", "Generation",
                "Transformers", "Models", "Tokenizers", "Compute", "Rules",
            ]),
        module(
            "ServerEngine",
            [
                "Engines", "StudentWeights", "Models", "Tokenizers", "Distillation", "Wire", "JSON", "Files", "Locking",
                "Randomness", "Wording", "CCurl", logging,
            ]),
        module(
            "TorchEngine",
            [
                "Engines", "StudentWeights", "Supervision", "ZeroMQ", "Models", "Tokens", "Distillation",
                "Wire", "JSON", "Files", "Locking", logging,
            ], exclude: ["Python"]),
        module(
            "Pipeline",
            [
                "Exchange", "Transport", "Engines", "Environments", "WeightDifferences", "RunFiles", "Exposition",
                "Wire", "Distillation", "Tokenizers", "Locking", "Tokens", "Wording", "Files", logging, metrics,
            ]),
        module(
            "Supervision", ["Configuration", "RunFiles", "Files", "Locking", "Wording", "CPlatform", logging, signals]),
        module(
            "Placement",
            [
                "Supervision", "Transport", "RunFiles", "Configuration", "Telemetry", "Wire", "Randomness", "JSON",
                "Files", "Locking", "Wording", .product(name: "Yams", package: "Yams"),
            ]),
        .target(
            name: "Runs",
            dependencies: [
                "Pipeline", "NativeEngine", "ServerEngine", "TorchEngine", "Engines", "Environments",
                "EnvironmentPrograms", "Exchange", "Transport", "Relaying", "WeightDifferences", "Supervision",
                "Configuration", "CheckpointCopies", "Telemetry", "RunFiles", "PageServer", "Exposition", "Wire",
                "Distillation", "Tokenizers", "Templates", "Tokens", "JSON", "ZeroMQ", "Locking", "Wording", "Files",
                logging, metrics,
            ], resources: [.embedInCode("Trackers/trackers.py")], swiftSettings: swiftSettings),
        .executableTarget(
            name: "opd",
            dependencies: [
                "Runs", "Placement", "NativeEngine", "Watch", "PageServer", "Pipeline", "Transport", "Supervision",
                "RunFiles", "Engines", "Configuration", "Wire", "Distillation", "Telemetry", "Locking", "Wording",
                "Models",
                "Rules",
                "Tokenizers", "Templates", "Files", "JSON", logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swiftSettings),

        // What tests of several targets share.
        .target(
            name: "TestSupport",
            dependencies: ["Distillation", "Wire", "Exchange", "RunFiles", "Randomness", "Locking", logging],
            path: "Tests/TestSupport", swiftSettings: swiftSettings),
        tests("Compute", ["Rules", "Locking", "CKernels", "COneDNN", "TestSupport"]),
        tests("JSON", []),
        tests("Files", [system]),
        tests("Tokenizers", ["JSON", "Hashing", "Templates", "Tokens", "TestSupport"]),
        tests("Templates", ["JSON"]),
        tests(
            "Models",
            ["Transformers", "Compute", "Rules", "Tokenizers", "Templates", "CKernels", "JSON", "TestSupport"]),
        tests(
            "Generation",
            ["Distillation", "Transformers", "Models", "Tokenizers", "Tokens", "Compute", "Randomness"]),
        tests(
            "Training",
            ["Transformers", "Models", "Compute", "Rules", "Tokens", "Generation", "Distillation", "TestSupport"]),
        tests("Distillation", ["Randomness", "Tokens", "TestSupport"]),
        tests("Environments", ["Wording"]),
        tests("EnvironmentPrograms", ["Environments", "TestSupport"]),
        tests("ZeroMQ", []),
        tests("Wire", ["Distillation", "Tokens", "TestSupport"]),
        tests("WeightDifferences", ["Wire", "Files", "TestSupport"]),
        tests("Telemetry", ["Distillation", "JSON", "TestSupport", logging]),
        tests("Configuration", ["Distillation", "JSON", "Telemetry", "TestSupport"]),
        tests("Exchange", ["ClusterSimulation", "Wire", "Distillation", "Randomness", "Tokens", "TestSupport"]),
        tests(
            "Transport",
            ["Wire", "Distillation", "Engines", "Files", "ZeroMQ", "Locking", "Wording", "TestSupport", logging]),
        tests("Relaying", ["Transport", "Wire", "Files", "Locking", "TestSupport"]),
        tests(
            "ServerEngine",
            [
                "Engines", "StudentWeights", "Transformers", "Models", "Tokenizers", "Distillation", "Wire", "JSON",
                "Locking", "Wording", "TestSupport",
            ]),
        tests("RunFiles", ["Distillation", "JSON", "Telemetry", "Wire", "Files", "TestSupport"]),
        tests("CheckpointCopies", ["RunFiles", "Files", "Hashing", "Locking", "Wording", "TestSupport"]),
        tests("PageServer", []),
        tests("Exposition", [metrics]),
        tests("Watch", ["RunFiles", "Telemetry", "Wire", "Distillation", "Locking", "JSON"]),
        tests("Supervision", ["Configuration", "RunFiles", "Models", "Files", "Locking", "TestSupport", logging]),
        tests("Placement", ["Configuration", "Wording", "Files", "TestSupport"]),
        tests(
            "Pipeline",
            [
                "Runs", "NativeEngine", "Engines", "Environments", "Exchange", "Transport", "RunFiles", "Telemetry",
                "Files", "Locking",
                "Configuration", "Wire", "Wording", "Distillation", "Randomness", "TestSupport", logging,
            ]),
        tests(
            "TorchEngine",
            ["NativeEngine", "Engines", "Distillation", "Models", "Wire", "JSON", "Files", "TestSupport"]),
        // Readers of foreign bytes: built always, so that they go with what they read.
        .target(
            name: "FuzzTargets",
            dependencies: [
                "Wire", "JSON", "Models", "Tokenizers", "Templates", "Configuration", "Distillation", "Exchange",
                "CheckpointCopies", "EnvironmentPrograms", "Environments", "PageServer", "Pipeline", "Placement",
                "RunFiles", "ServerEngine", "TorchEngine", "Watch", "WeightDifferences",
            ],
            path: "Fuzz/Targets", swiftSettings: swiftSettings),
        .testTarget(
            name: "FuzzTests", dependencies: ["FuzzTargets", "Distillation", "Randomness"], swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "EndToEndTests", dependencies: ["opd", "Models", "JSON", "TestSupport"],
            swiftSettings: swiftSettings),
    ],
    swiftLanguageModes: [.v6]
)

if fuzzing {
    package.products.append(.executable(name: "opd-fuzz", targets: ["opd-fuzz"]))
    package.targets.append(
        .executableTarget(
            name: "opd-fuzz", dependencies: ["FuzzTargets"], path: "Fuzz/Entry", swiftSettings: swiftSettings)
    )
}
