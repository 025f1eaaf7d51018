# Runs a larger model with ONNX Runtime when the first answer is not sure enough.
.class public Ldev/edgewise/demo/SecondOpinion;
.super Ljava/lang/Object;
.source "SecondOpinion.java"

.field private static final MODEL:Ljava/lang/String; = "models/digits-m.onnx"

.field private final environment:Lai/onnxruntime/OrtEnvironment;
.field private final session:Lai/onnxruntime/OrtSession;

.method public constructor <init>([B)V
    .registers 5
    .annotation system Ldalvik/annotation/Throws;
        value = { Lai/onnxruntime/OrtException; }
    .end annotation
    invoke-direct {p0}, Ljava/lang/Object;-><init>()V
    invoke-static {}, Lai/onnxruntime/OrtEnvironment;->getEnvironment()Lai/onnxruntime/OrtEnvironment;
    move-result-object v0
    iput-object v0, p0, Ldev/edgewise/demo/SecondOpinion;->environment:Lai/onnxruntime/OrtEnvironment;
    new-instance v1, Lai/onnxruntime/OrtSession$SessionOptions;
    invoke-direct {v1}, Lai/onnxruntime/OrtSession$SessionOptions;-><init>()V
    invoke-virtual {v0, p1, v1}, Lai/onnxruntime/OrtEnvironment;->createSession([BLai/onnxruntime/OrtSession$SessionOptions;)Lai/onnxruntime/OrtSession;
    move-result-object v0
    iput-object v0, p0, Ldev/edgewise/demo/SecondOpinion;->session:Lai/onnxruntime/OrtSession;
    return-void
.end method

.method public static open(Landroid/content/res/AssetManager;)Ljava/io/InputStream;
    .registers 2
    .annotation system Ldalvik/annotation/Throws;
        value = { Ljava/io/IOException; }
    .end annotation
    const-string v0, "models/digits-m.onnx"
    invoke-virtual {p0, v0}, Landroid/content/res/AssetManager;->open(Ljava/lang/String;)Ljava/io/InputStream;
    move-result-object v0
    return-object v0
.end method

.method public ask([[[[F)Lai/onnxruntime/OrtSession$Result;
    .registers 5
    .annotation system Ldalvik/annotation/Throws;
        value = { Lai/onnxruntime/OrtException; }
    .end annotation
    iget-object v0, p0, Ldev/edgewise/demo/SecondOpinion;->environment:Lai/onnxruntime/OrtEnvironment;
    invoke-static {v0, p1}, Lai/onnxruntime/OnnxTensor;->createTensor(Lai/onnxruntime/OrtEnvironment;Ljava/lang/Object;)Lai/onnxruntime/OnnxTensor;
    move-result-object v0
    const-string v1, "image"
    invoke-static {v1, v0}, Ljava/util/Collections;->singletonMap(Ljava/lang/Object;Ljava/lang/Object;)Ljava/util/Map;
    move-result-object v0
    iget-object v1, p0, Ldev/edgewise/demo/SecondOpinion;->session:Lai/onnxruntime/OrtSession;
    invoke-virtual {v1, v0}, Lai/onnxruntime/OrtSession;->run(Ljava/util/Map;)Lai/onnxruntime/OrtSession$Result;
    move-result-object v0
    return-object v0
.end method
