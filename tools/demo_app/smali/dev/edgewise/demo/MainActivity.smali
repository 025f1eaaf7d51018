.class public Ldev/edgewise/demo/MainActivity;
.super Landroid/app/Activity;
.source "MainActivity.java"

.field private classifier:Ldev/edgewise/demo/DigitClassifier;

.method public constructor <init>()V
    .registers 1
    invoke-direct {p0}, Landroid/app/Activity;-><init>()V
    return-void
.end method

.method protected onCreate(Landroid/os/Bundle;)V
    .registers 4
    invoke-super {p0, p1}, Landroid/app/Activity;->onCreate(Landroid/os/Bundle;)V
    new-instance v0, Ldev/edgewise/demo/DigitClassifier;
    invoke-virtual {p0}, Ldev/edgewise/demo/MainActivity;->getAssets()Landroid/content/res/AssetManager;
    move-result-object v1
    invoke-direct {v0, v1}, Ldev/edgewise/demo/DigitClassifier;-><init>(Landroid/content/res/AssetManager;)V
    iput-object v0, p0, Ldev/edgewise/demo/MainActivity;->classifier:Ldev/edgewise/demo/DigitClassifier;
    return-void
.end method
