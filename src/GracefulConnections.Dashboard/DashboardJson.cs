using System.Text.Json.Serialization;

namespace GracefulConnections.Dashboard;

/// <summary>How the API's answers are written. Made at compile time, for native programs.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ConnectionPage))]
[JsonSerializable(typeof(DashboardError))]
[JsonSerializable(typeof(DashboardSummary))]
[JsonSerializable(typeof(DrainAccepted))]
[JsonSerializable(typeof(DrainRequest))]
internal sealed partial class DashboardJson : JsonSerializerContext;
