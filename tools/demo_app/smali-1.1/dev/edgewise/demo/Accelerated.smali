# New in 1.1: the mid-sized model on the GPU, where the phone has one that suits.
.class public Ldev/edgewise/demo/Accelerated;
.super Ljava/lang/Object;
.source "Accelerated.java"

.field private static final MODEL:Ljava/lang/String; = "models/digits-m.tflite"

.method public constructor <init>()V
    .registers 1
    invoke-direct {p0}, Ljava/lang/Object;-><init>()V
    return-void
.end method

.method public static open(Landroid/content/res/AssetManager;)Lorg/tensorflow/lite/Interpreter;
    .registers 5
    .annotation system Ldalvik/annotation/Throws;
        value = { Ljava/io/IOException; }
    .end annotation
    const-string v0, "models/digits-m.tflite"
    invoke-static {p0, v0}, Ldev/edgewise/demo/DigitClassifier;->map(Landroid/content/res/AssetManager;Ljava/lang/String;)Ljava/nio/MappedByteBuffer;
    move-result-object v0
    new-instance v1, Lorg/tensorflow/lite/Interpreter$Options;
    invoke-direct {v1}, Lorg/tensorflow/lite/Interpreter$Options;-><init>()V
    new-instance v2, Lorg/tensorflow/lite/gpu/GpuDelegate;
    invoke-direct {v2}, Lorg/tensorflow/lite/gpu/GpuDelegate;-><init>()V
    invoke-virtual {v1, v2}, Lorg/tensorflow/lite/Interpreter$Options;->addDelegate(Lorg/tensorflow/lite/Delegate;)Lorg/tensorflow/lite/Interpreter$Options;
    new-instance v2, Lorg/tensorflow/lite/Interpreter;
    invoke-direct {v2, v0, v1}, Lorg/tensorflow/lite/Interpreter;-><init>(Ljava/nio/ByteBuffer;Lorg/tensorflow/lite/Interpreter$Options;)V
    return-object v2
.end method
